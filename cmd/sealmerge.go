package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
)

// mergeTarget is what values are merged into: a class in a file or in standard input.
type mergeTarget struct {
	*classfile.File
	in   manifest.Input
	data []byte // of the file, to know when it changes
}

// readMergeTarget reads the class to merge into, as every command reads classes.
func (f *sealFlags) readMergeTarget(stdin io.Reader) (*mergeTarget, error) {
	var target mergeTarget
	var err error
	if f.mergeInto == manifest.Stdin {
		err = manifest.Each(stdin, []string{manifest.Stdin}, nil, func(in manifest.Input, err error) error {
			target.in = in
			return err
		})
	} else {
		target.in, target.data, err = manifest.ReadFile(f.mergeInto)
	}
	if err != nil {
		return nil, usagef("--merge-into: %w", unnamed(f.mergeInto, err))
	}
	var problems strict.Problems
	target.File, err = classfile.Open(target.in.Text, f.class)
	switch {
	case errors.As(err, &problems):
		return nil, usagef("--merge-into: %s: %w", f.mergeInto, err)
	case err != nil:
		return nil, usagef("--merge-into: %s %w", f.mergeInto, err)
	}
	return &target, nil
}

// openClass opens the file to merge into and takes from it what no flag says.
func openClass(flags *sealFlags, stdin io.Reader) (*mergeTarget, error) {
	class, err := flags.readMergeTarget(stdin)
	if err != nil {
		return nil, err
	}
	if !flags.from.used() {
		if flags.path == "" && flags.name == "" {
			return nil, usagef("--path is missing; give the path of the object in the class")
		}
		if flags.name == "" {
			flags.name = class.ObjectName(flags.path)
		}
		if flags.path == "" && !class.Has(flags.name) {
			flags.path = flags.name
		}
	}
	switch namespace := class.Namespace(); {
	case namespace == "" || flags.anyNamespace:
	case flags.namespace == "":
		flags.namespace = namespace
	case flags.namespace != namespace:
		return nil, usagef("--namespace: the class is in namespace %q, and a value sealed for %q could not be opened there", namespace, flags.namespace)
	}
	return class, nil
}

// merge puts the entries into the file as it is now: while the value was asked for
// somebody else may have merged theirs.
func (f *sealFlags) merge(ctx context.Context, notes io.Writer, before *mergeTarget, entries []classfile.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	unlock, err := atomicfile.Lock(ctx, f.mergeInto)
	if err != nil {
		return usagef("--merge-into: %w", err)
	}
	defer unlock()
	class, err := f.readMergeTarget(nil)
	if err != nil {
		return err
	}
	if class.Namespace() != before.Namespace() {
		return fmt.Errorf("--merge-into: %s %w", f.mergeInto, atomicfile.ErrChanged)
	}
	edited, err := class.Put(entries...)
	if err != nil {
		return usagef("--merge-into: %s: %w", f.mergeInto, err)
	}
	if err := checkClassSize(notes, edited); err != nil {
		return usagef("--merge-into: %s: %w", f.mergeInto, err)
	}
	return atomicfile.ReplaceUnchanged(f.mergeInto, class.data, class.in.Encode(edited))
}

// checkClassSize refuses a text with a class that no API server takes, and notes one that
// kubectl apply does not take as it stands.
func checkClassSize(notes io.Writer, text []byte) error {
	documents, err := manifest.Documents(text)
	if err != nil {
		return err
	}
	for _, class := range manifest.Classes(documents) {
		switch wrong, severity := class.CheckSize(); severity {
		case manifest.Error:
			return errors.New(wrong)
		case manifest.Warning:
			fmt.Fprintf(notes, "note: %s\n", wrong)
		}
	}
	return nil
}
