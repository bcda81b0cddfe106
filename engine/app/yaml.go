package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parseYAML reads settings out of nested maps, dotted keys or any mix: the names on the way to a value, joined by dots,
// are its key. It returns all mistakes, each with its line.
func parseYAML(name string, b []byte) ([]entry, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: want one document", name)
	}
	r := yamlReader{name: name, first: map[string]int{}}
	for _, n := range doc.Content {
		r.read("", n)
	}
	return r.entries, errors.Join(r.mistakes...)
}

type yamlReader struct {
	name     string
	entries  []entry
	first    map[string]int // line of a key
	mistakes []error
}

func (r *yamlReader) read(prefix string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.readPair(prefix, n.Content[i], n.Content[i+1])
		}
	case yaml.ScalarNode:
		r.readValue(prefix, n)
	default: // lists, and aliases, which could expand without end
		r.mistake(n, "%s: want a single value", orTop(prefix))
	}
}

func (r *yamlReader) readPair(prefix string, key, value *yaml.Node) {
	if key.Kind != yaml.ScalarNode || key.Value == "" {
		r.mistake(key, "want the name of a setting")
		return
	}
	if prefix != "" {
		prefix += "."
	}
	r.read(prefix+key.Value, value)
}

func (r *yamlReader) readValue(key string, n *yaml.Node) {
	switch {
	case key == "":
		if n.Tag != "!!null" { // a file of comments only
			r.mistake(n, "want settings as name: value")
		}
	case n.Tag == "!!null":
		r.mistake(n, "%s has no value", key)
	case r.first[key] > 0:
		r.mistake(n, "%s is there already, at line %d", key, r.first[key])
	default:
		r.first[key] = n.Line
		r.entries = append(r.entries, entry{key, strings.TrimSpace(n.Value), fmt.Sprintf("%s:%d", r.name, n.Line)})
	}
}

func (r *yamlReader) mistake(n *yaml.Node, format string, args ...any) {
	r.mistakes = append(r.mistakes, fmt.Errorf("%s:%d: %s", r.name, n.Line, fmt.Sprintf(format, args...)))
}

func orTop(key string) string {
	if key == "" {
		return "the file"
	}
	return key
}
