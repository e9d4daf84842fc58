// Package reseal seals the sealed values of files again: to a new key, and for
// the same scope, for a narrower one (Narrowing), or for another workload (Moving).
// In a file nothing changes but the values' texts; comments, order and formatting stay.
//
// Each file is written whole or not at all, and not if somebody changed it
// meanwhile, so that a run may be interrupted anywhere and run again: what is
// under the new key already is left as it is. Plain values exist in memory only,
// no more at once than Options.Workers, and nothing that is reported holds one.
//
// Start with Find and Run.
package reseal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Options say what a run does.
type Options struct {
	// Open opens a value as the holder of its key, whatever it is sealed for.
	Open func(context.Context, *seal.Sealed) (secret.Bytes, error)
	// Seal seals a value with the new key.
	Seal func(context.Context, seal.Scope, secret.Bytes) (string, error)
	// Current says whether a value is sealed with the new key already. It is
	// asked of values whose scope stays as it is.
	Current func(context.Context, *seal.Sealed) (bool, error)
	// Scope is what a scope becomes: Narrowing.Apply or Moving.Apply; nil leaves it.
	Scope func(scope seal.Scope, object string) (seal.Scope, error)
	// Note is what to say of a value of this scope that does not fail, such as Moving.Note;
	// nil says nothing.
	Note func(scope seal.Scope) string
	// Cluster is that of the new key; empty if it is not known. No value is sealed for
	// another, where nobody could open it.
	Cluster string
	// Together writes a file only if none of its values fails.
	Together bool
	// Workers is the most values that are open at once, at least 1.
	Workers int
	// DryRun opens each value and writes nothing.
	DryRun bool
	// Stdout takes the resealed text of standard input. It is needed only if Find
	// was given that.
	Stdout io.Writer
	// Progress is told how many values are done, of how many there are about.
	// It is called by one goroutine at a time; nil tells nobody.
	Progress func(done, total int)
}

// State is what became of a value.
type State string

// The states.
const (
	// Resealed is a value that is under the new key now; in a dry run, one that
	// would be.
	Resealed State = "resealed"
	// Current is a value that was under the new key, and for that scope, already.
	Current State = "current"
	// Failed is a value that stays as it was.
	Failed State = "failed"
)

// Report is what a run has done, as JSON. Its fields are only added to.
type Report struct {
	DryRun      bool   `json:"dryRun"`
	Interrupted bool   `json:"interrupted"`
	Resealed    int    `json:"resealed"`
	Current     int    `json:"current"`
	Failed      int    `json:"failed"`
	Files       []File `json:"files"`
}

// File is one file of a Report.
type File struct {
	Path string `json:"file"`
	// Problem is why nothing could be done with the whole file; empty if
	// something could.
	Problem string `json:"problem,omitempty"`
	// Written says whether the file was replaced.
	Written bool    `json:"written"`
	Values  []Value `json:"values"`
}

// Value is one sealed value of a File, in the file's order.
type Value struct {
	Line int `json:"line"`
	// Class and Object are empty for a value outside of a class.
	Class  string `json:"class,omitempty"`
	Object string `json:"object,omitempty"`
	State  State  `json:"state"`
	// Reason is why a value failed.
	Reason string `json:"reason,omitempty"`
	// Note is what to know of a value that did not fail.
	Note string `json:"note,omitempty"`
	// From and To are the ids of the keys before and after.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Complete says whether every value of every file is under the new key, or in a
// dry run would be.
func (r Report) Complete() bool {
	if r.Failed > 0 || r.Interrupted {
		return false
	}
	for _, file := range r.Files {
		if file.Problem != "" {
			return false
		}
	}
	return true
}

// Run reseals the values of the files until ctx ends: then files whose values
// are not all done are left as they are.
func Run(ctx context.Context, o Options, files []Input) Report {
	if o.Scope == nil {
		o.Scope = Narrowing{}.Apply
	}
	r := &run{Options: o, slots: make(chan struct{}, o.Workers), lock: atomicfile.Lock}
	for _, file := range files {
		r.total += file.Texts
	}
	report := Report{DryRun: o.DryRun, Files: make([]File, len(files))}
	var group errgroup.Group
	group.SetLimit(o.Workers)
	for i, file := range files {
		group.Go(func() error {
			report.Files[i] = r.file(ctx, file)
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // what fails is in the report
	for _, file := range report.Files {
		for _, value := range file.Values {
			switch value.State {
			case Resealed:
				report.Resealed++
			case Current:
				report.Current++
			case Failed:
				report.Failed++
			}
		}
	}
	report.Interrupted = ctx.Err() != nil
	return report
}

type run struct {
	Options
	slots chan struct{} // one for each value that is open
	lock  func(ctx context.Context, path string) (unlock func(), err error)

	mu    sync.Mutex
	done  int
	total int
}

// file reseals one file.
func (r *run) file(ctx context.Context, in Input) File {
	out := File{Path: in.Path, Problem: in.Problem, Values: []Value{}}
	if in.Problem != "" {
		return out
	}
	if ctx.Err() != nil {
		out.Problem = "was not reached before the interruption"
		return out
	}
	if !r.DryRun && in.stream == nil {
		unlock, err := r.lock(ctx, in.Path)
		switch {
		case err == nil:
			defer unlock()
		case !errors.Is(err, atomicfile.ErrNoLocks):
			out.Problem = reason(err)
			return out
		default:
			// What another process changes meanwhile ReplaceUnchanged finds too.
		}
	}
	input, data, err := in.read()
	if err != nil {
		out.Problem = reason(err)
		return out
	}
	places := find(input.Text)
	out.Values = make([]Value, len(places))
	texts := make([]string, len(places))
	var group errgroup.Group
	for i := range places {
		r.slots <- struct{}{}
		group.Go(func() error {
			defer func() { <-r.slots }()
			out.Values[i], texts[i] = r.value(ctx, input.Text, places[i])
			r.progressed()
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // what fails is in the values
	if ctx.Err() != nil {
		out.fail("the run was interrupted before the file was written")
		return out
	}
	if r.Together && slices.ContainsFunc(out.Values, func(v Value) bool { return v.State == Failed }) {
		out.fail("not written, because a value of it cannot be moved")
		out.Problem = ""
		return out
	}
	edited := splice(input.Text, places, texts)
	switch {
	case r.DryRun || edited == nil && in.stream == nil:
		return out
	case edited == nil:
		edited = input.Text
	}
	if in.stream != nil {
		_, err = r.Stdout.Write(input.Encode(edited))
	} else {
		err = atomicfile.ReplaceUnchanged(in.Path, data, input.Encode(edited))
	}
	if err != nil {
		out.fail(reason(err))
		return out
	}
	out.Written = true
	return out
}

// read returns the input, and the bytes of a file as they are now.
func (in *Input) read() (manifest.Input, []byte, error) {
	if in.stream != nil {
		return *in.stream, nil, nil
	}
	return manifest.ReadFile(in.Path)
}

// fail makes failures of what cannot be written.
func (f *File) fail(reason string) {
	f.Problem = reason
	for i := range f.Values {
		if f.Values[i].State == Resealed {
			f.Values[i].State, f.Values[i].Reason, f.Values[i].To = Failed, reason, ""
			f.Values[i].Note = ""
		}
	}
}

// value reseals one value and returns its new text; empty if it has none.
func (r *run) value(ctx context.Context, data []byte, at place) (Value, string) {
	result := Value{Line: at.line, Class: at.class, Object: at.object}
	failed := func(err error) (Value, string) {
		result.State, result.Reason = Failed, reason(err)
		return result, ""
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	sealed, err := seal.Parse(string(data[at.start:at.end]))
	if err != nil {
		return failed(err)
	}
	result.From = sealed.KeyID().String()
	scope, err := r.Scope(sealed.Scope(), at.object)
	if err == nil {
		err = r.checkCluster(scope)
	}
	if err != nil {
		return failed(err)
	}
	if same(scope, sealed.Scope()) {
		current, err := r.Current(ctx, sealed)
		if err != nil {
			return failed(err)
		}
		if current {
			result.State, result.To, result.Note = Current, result.From, r.note(scope)
			return result, ""
		}
	}
	value, err := r.Open(ctx, sealed)
	if err != nil {
		return failed(err)
	}
	if r.DryRun {
		result.State, result.Note = Resealed, r.note(scope)
		return result, ""
	}
	text, err := r.Seal(ctx, scope, value)
	if err != nil {
		return failed(err)
	}
	again, err := seal.Parse(text)
	if err != nil || !same(again.Scope(), scope) {
		return failed(errors.New("what was sealed again is not for the scope that was asked for"))
	}
	result.State, result.To, result.Note = Resealed, again.KeyID().String(), r.note(scope)
	return result, text
}

func (r *run) note(scope seal.Scope) string {
	if r.Note == nil {
		return ""
	}
	return r.Note(scope)
}

// checkCluster refuses a scope in which nobody has the new key.
func (r *run) checkCluster(scope seal.Scope) error {
	if r.Cluster == "" || scope.Cluster.IsAny() || scope.Cluster.String() == r.Cluster {
		return nil
	}
	return fmt.Errorf("it would be sealed for cluster %q with the key of cluster %q, so that nobody could open it; give that cluster's key, or with lanyard seal move --cluster %s move it", scope.Cluster.String(), r.Cluster, r.Cluster)
}

func (r *run) progressed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.Progress != nil {
		r.Progress(r.done, max(r.done, r.total))
	}
}

// splice returns data with the new texts in their places; nil if there are none.
func splice(data []byte, places []place, texts []string) []byte {
	var edited []byte
	from := 0
	for i, at := range places {
		if texts[i] == "" {
			continue
		}
		edited = append(append(edited, data[from:at.start]...), texts[i]...)
		from = at.end
	}
	if edited == nil {
		return nil
	}
	return append(edited, data[from:]...)
}

// reason is an error in one line, without the file's name, which stands beside
// it.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, atomicfile.ErrChanged) {
		err = atomicfile.ErrChanged
	}
	if errors.Is(err, context.Canceled) {
		return "the run was interrupted"
	}
	return strings.ReplaceAll(fmt.Sprint(err), "\n", "; ")
}
