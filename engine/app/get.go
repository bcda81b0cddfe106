package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/mmapstate"
)

func (p *program) getCommand() *cobra.Command {
	var f stateFlags
	var key string
	cmd := &cobra.Command{
		Use:   "get PATH --key KEY",
		Short: "Print what a checkpoint has of one key, as JSON Lines",
		Long: "Print what a checkpoint has of one key, as JSON Lines: its value, all its windows, or all its times in an index.\n\n" +
			"KEY is a string as it is, or JSON: a number, an object with the fields of a struct (those left out are zero).\n" +
			"The lines are those of export.",
		Example:           "  " + p.name + " get pagetide-data/JOB --uid OPERATOR --state STATE --key KEY",
		Args:              p.onePath,
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("key") {
				return usage(errors.New("get needs --key KEY"), "")
			}
			return p.get(cmd.Context(), f, args[0], key)
		},
	}
	f.declare(p, cmd)
	cmd.Flags().StringVarP(&key, "key", "k", "", "the `KEY`: a string, or JSON")
	complete(cmd, "key", cobra.NoFileCompletions)
	return cmd
}

func (p *program) get(ctx context.Context, f stateFlags, path, key string) error {
	cp, s, err := f.open(p, path)
	if err != nil {
		return err
	}
	defer cp.Close() // read only
	if err := s.CheckKey(key); err != nil {
		return usage(err, "")
	}
	var out []byte
	for e, err := range s.Get(key) {
		if err != nil {
			return atRest(err)
		}
		out = append(e.Append(out), '\n')
	}
	if out == nil {
		err := fmt.Errorf("no key %s in state %q of operator %q", key, s.Name, f.uid)
		return &problem{exitFailed, err, p.hintKey(ctx, s, key, path)}
	}
	if _, err := p.stdout.Write(out); err != nil {
		return &problem{exitFailed, fmt.Errorf("show entry: %w", err), ""}
	}
	return nil
}

// hintKey names the nearest key of a small state, or says where all are listed.
func (p *program) hintKey(ctx context.Context, s *mmapstate.StateView, key, path string) string {
	if near := nearestKey(ctx, s, key); near != "" {
		return fmt.Sprintf("the nearest key is %s", near)
	}
	return fmt.Sprintf("%s export %s lists all keys", p.name, quote(path))
}

func nearestKey(ctx context.Context, s *mmapstate.StateView, key string) string {
	const small, long = 5000, 4 // entries; bytes: anything is near to a short key
	if s.Entries > small || len(key) < long {
		return ""
	}
	var keys []string
	for e, err := range s.All(ctx, nil) {
		if err != nil {
			return ""
		}
		var text string
		if json.Unmarshal(e.Key, &text) != nil {
			text = string(e.Key)
		}
		if !strings.ContainsAny(text, " \t\n") { // nearest looks at first words
			keys = append(keys, text)
		}
	}
	return nearest(key, keys)
}
