// Package app is the command line of Pagetide as a library: [Main] makes a program of jobs.
//
//	arguments ──► run ──► pagetide.yaml, -D ──► engine.Options
//	                 └──► recorded arguments of the checkpoint, job flags ──► Build ──► engine.Job
//	                                                                                      │ Start
//	signals ──────────────────────────► engine.Running ◄──────────────────────────────────┘
//	                                          │ hooks, Stats
//	                                          ▼
//	                     screen: live line, plain lines or JSON ──► closing lines, exit code
//
// It is the only package that reads configuration files, flags, the environment and signals. What a run prints for
// programs to read (results, --json) goes to stdout, everything for people to stderr.
//
// Exit codes: 0 finished or stopped, 1 failed, 2 usage or refused start, 3 another process owns the directory,
// 4 the checkpoint is missing, damaged, incompatible or not the newest, 130 cancelled.
//
// Ctrl-C cancels: the retention setting says whether checkpoints stay. SIGTERM stops: a last checkpoint is taken and kept,
// and a savepoint made if state.savepoints.dir is set.
// SIGUSR1 drains, where there is such a signal: the input ends where it stands, windows close, and the job finishes.
// The second signal leaves at once, as a crash would; checkpoints are kept.
//
// Reading order: app.go, command.go, run.go, config.go, yaml.go, restore.go, jobflags.go, session.go, screen.go, event.go,
// closing.go, problem.go, misplaced.go, inspect.go, verify.go, atrest.go, get.go, export.go, diff.go, diffkeys.go, savepoint.go, discard.go, gc.go, version.go, complete.go.
package app
