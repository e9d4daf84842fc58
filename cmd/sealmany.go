package cmd

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/seal/source"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// sealSource are the flags of seal that name a file of many values.
type sealSource struct{ env, json, secret string }

func (s *sealSource) add(c *cobra.Command) {
	c.Flags().StringVar(&s.env, "from-env", "", "seal every variable of this .env `FILE`; - for standard input")
	c.Flags().StringVar(&s.json, "from-json", "", "seal every value of the object in this JSON `FILE`; - for standard input")
	c.Flags().StringVar(&s.secret, "from-secret", "", "seal every value of the native Secrets in this YAML or JSON `FILE`; - for standard input")
}

// used says whether one of the flags was given.
func (s *sealSource) used() bool { return s.env != "" || s.json != "" || s.secret != "" }

// stdin says whether one of the flags names standard input.
func (s *sealSource) stdin() bool { return s.env+s.json+s.secret == "-" }

// check refuses what does not go together with a file of many values.
func (s *sealSource) check(f *sealFlags) error {
	given := 0
	for _, file := range []string{s.env, s.json, s.secret} {
		if file != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return nil
	case given > 1:
		return usagef("--from-env, --from-json and --from-secret name one file together; give one of them")
	case f.output == "text":
		return usagef("--output text is one sealed value, and a file holds many; leave it out for entries, or give --output class")
	case f.file != "" || f.trimNewline:
		return usagef("--file and --trim-newline are for one value; leave them out with a file of many")
	case f.name != "":
		return usagef("--name is for one value; those of a file are called by their paths, or as the class calls them")
	}
	return nil
}

// read reads the file. Its name is that which the user knows.
func (s *sealSource) read(c *cobra.Command) (values []source.Value, name, namespace string, err error) {
	name = s.env + s.json + s.secret
	file := name
	if name == "-" {
		file, name = "", "standard input"
	}
	data, err := readInput(c, file, source.MaxFile)
	if err != nil {
		return nil, name, "", err
	}
	switch {
	case s.env != "":
		values, err = source.Env(data)
	case s.json != "":
		values, err = source.JSON(data)
	default:
		values, namespace, err = source.Secrets(data)
	}
	return values, name, namespace, err
}

// sealsAtOnce is how many values are sealed at one time: a key service takes a
// while for each, and should not be overrun.
const sealsAtOnce = 8

// sealAll seals the values and returns their texts in the same order. After a
// failure none is begun any more; the error is that of the first value in the
// order that failed, at which index.
func sealAll(values []source.Value, scopes []seal.Scope, with sealer) (texts []string, at int, err error) {
	texts = make([]string, len(values))
	failures := make([]error, len(values))
	var failed atomic.Bool
	var group errgroup.Group
	group.SetLimit(sealsAtOnce)
	for i := range values {
		if failed.Load() {
			break
		}
		group.Go(func() error {
			if texts[i], failures[i] = with(scopes[i], values[i].Data); failures[i] != nil {
				failed.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nobody returns one
	for i, failure := range failures {
		if failure != nil {
			return nil, i, failure
		}
	}
	return texts, 0, nil
}

// sealMany seals all values of a file, or none.
func (f *sealFlags) sealMany(c *cobra.Command, class *mergeTarget, with sealer) error {
	values, file, namespace, err := f.from.read(c)
	var problems strict.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	folder := ""
	if f.path != "" {
		folder = f.path + "/"
	}
	for _, value := range values {
		if text := spec.WrongPath(folder + value.Path); text != "" {
			problems = append(problems, strict.Problem{Line: value.Line, Text: "the path " + text})
		}
	}
	if len(problems) > 0 {
		return usagef("%s", problems.In(file))
	}
	if namespace != "" && !f.anyNamespace {
		if f.namespace != "" && f.namespace != namespace {
			return usagef("%s: the Secret is in namespace %q, and its values would be sealed for %q; remove metadata.namespace, or give --namespace %s", file, namespace, f.namespace, namespace)
		}
		f.namespace = namespace
	}
	now := time.Now()
	entries, scopes := make([]classfile.Entry, len(values)), make([]seal.Scope, len(values))
	for i, value := range values {
		entry := classfile.Entry{Path: folder + value.Path}
		if class != nil {
			if name := class.ObjectName(entry.Path); name != entry.Path {
				entry.Name = name
			}
		}
		one := *f
		if one.name = entry.Name; one.name == "" {
			one.name = entry.Path
		}
		if scopes[i], err = one.scope(now); err != nil {
			return err
		}
		entries[i] = entry
	}
	texts, at, err := sealAll(values, scopes, with)
	if err != nil {
		return sealingFailed(fmt.Errorf("%s: line %d: %w", file, values[at].Line, err))
	}
	for i, text := range texts {
		entries[i].Sealed = text
	}
	return f.deliver(c, class, fmt.Sprintf("of each of %d objects", len(entries)), entries...)
}
