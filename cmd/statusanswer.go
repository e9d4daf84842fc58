package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

// statusLimits bound what is read of providers, any of which may be hostile.
type statusLimits struct {
	answer int64         // bytes of one answer
	part   int64         // bytes of one volume or store in it
	read   int64         // bytes of all answers of one look
	kept   int64         // bytes of memory for what is kept of them
	time   time.Duration // for all of them
}

// A node of 250 pods with 5 objects each answers with 600 KiB.
var defaultStatusLimits = statusLimits{answer: 64 << 20, part: 8 << 20, read: 8 << 30, kept: 512 << 20, time: 5 * time.Minute}

// Bounds of parts of an answer. What is above them is left out.
const (
	answerStores  = 1000  // stores of a provider
	answerObjects = 10000 // objects of a volume
)

// Why a provider is left out.
var (
	errAllRead = errors.New("left out, because the answers of all providers are too long together; choose fewer with --namespace, --pod or --class")
	errAllTime = errors.New("left out, because asking all providers takes too long; choose fewer with --namespace, --pod or --class")
)

// errNotUnderstood is that of an answer in another form.
var errNotUnderstood = errors.New("its answer is not understood; it is of another version")

// clockSkew is how far the clock of a node may be ahead of this machine's.
const clockSkew = time.Minute

// answerBudget is what the answers of one look may still take.
type answerBudget struct {
	limits     statusLimits
	read, kept atomic.Int64
	now        time.Time
}

func newAnswerBudget(limits statusLimits, now time.Time) *answerBudget {
	return &answerBudget{limits: limits, now: now}
}

// spent says that no answer is read any more.
func (b *answerBudget) spent() bool {
	return b.read.Load() > b.limits.read || b.kept.Load() > b.limits.kept
}

// keep takes memory for a part with so many texts.
func (b *answerBudget) keep(texts int) error {
	const text = 64 // on average, with its share of a struct
	if b.kept.Add(int64(texts)*text) > b.limits.kept {
		return errAllRead
	}
	return nil
}

// answerReader reads an answer as far as the bounds allow.
type answerReader struct {
	from   io.Reader
	budget *answerBudget
	left   int64
	part   int64 // what is left of the part that is read
	err    error // why it ended early
}

// Read reads on.
func (r *answerReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.from.Read(p)
	r.left, r.part = r.left-int64(n), r.part-int64(n)
	switch {
	case r.budget.read.Add(int64(n)) > r.budget.limits.read:
		err = errAllRead
	case r.left < 0:
		err = fmt.Errorf("its answer has more than %d bytes", r.budget.limits.answer)
	case r.part < 0:
		err = fmt.Errorf("a part of its answer has more than %d bytes", r.budget.limits.part)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// partDecoder decodes part by part, of which none may be long.
type partDecoder struct {
	*json.Decoder
	reader *answerReader // nil for a part itself
}

// Decode decodes the part that comes next.
func (d partDecoder) Decode(to any) error {
	d.begin()
	return d.Decoder.Decode(to)
}

// Token is the token that comes next.
func (d partDecoder) Token() (json.Token, error) {
	d.begin()
	return d.Decoder.Token()
}

func (d partDecoder) begin() {
	if d.reader != nil {
		d.reader.part = d.reader.budget.limits.part
	}
}

// providerFacts are what is taken of a provider's answer. Each text is one line of bounded
// length, and no time that must be past is in the future.
type providerFacts struct {
	program, version, node string
	started                time.Time
	stores                 []engine.StoreFacts
	volumes                []engine.VolumeFacts
	ring                   *status.Ring
	problems               []status.Problem
	synced                 []status.Synced // that fail
}

// readFacts reads a provider's answer part by part, and keeps those volumes that are taken.
func (b *answerBudget) readFacts(body io.Reader, take func(*engine.VolumeFacts) bool) (*providerFacts, error) {
	var facts providerFacts
	reader := &answerReader{from: body, budget: b, left: b.limits.answer}
	err := facts.decode(partDecoder{json.NewDecoder(reader), reader}, b, take)
	switch {
	case err == nil:
		return &facts, nil
	case reader.err != nil:
		return nil, reader.err
	case errors.Is(err, errAllRead):
		return nil, err
	}
	return nil, errNotUnderstood
}

func (f *providerFacts) decode(from partDecoder, budget *answerBudget, take func(*engine.VolumeFacts) bool) error {
	texts := map[string]*string{"program": &f.program, "version": &f.version, "node": &f.node}
	return eachField(from, func(name string) error {
		switch name {
		case "program", "version", "node":
			err := from.Decode(texts[name])
			*texts[name] = printableName(*texts[name])
			return err
		case "started":
			err := from.Decode(&f.started)
			dropFuture(budget.now, &f.started)
			return err
		case "stores":
			return eachElement(from, func() error {
				var store engine.StoreFacts
				if err := from.Decode(&store); err != nil || len(f.stores) == answerStores {
					return err
				}
				cleanStore(&store, budget.now)
				f.stores = append(f.stores, store)
				return budget.keep(8)
			})
		case "volumes":
			return eachElement(from, func() error {
				var volume answeredVolume
				if err := from.Decode(&volume); err != nil {
					return err
				}
				volume.VolumeFacts.Objects = volume.Objects
				cleanVolume(&volume.VolumeFacts, budget.now)
				if !take(&volume.VolumeFacts) {
					return nil
				}
				f.volumes = append(f.volumes, volume.VolumeFacts)
				return budget.keep(8 + 6*len(volume.Objects))
			})
		case "ring":
			err := from.Decode(&f.ring)
			cleanRing(f.ring, budget.now)
			return err
		case "problems":
			return eachElement(from, func() error {
				var problem status.Problem
				if err := from.Decode(&problem); err != nil || len(f.problems) == maxProblems {
					return err
				}
				problem.Error = printablePassage(problem.Error)
				dropFuture(budget.now, &problem.Since)
				f.problems = append(f.problems, problem)
				return nil
			})
		case "synced":
			return eachElement(from, func() error {
				var object status.Synced
				if err := from.Decode(&object); err != nil || object.State != status.SyncedFailed {
					return err
				}
				cleanSynced(&object, budget.now)
				f.synced = append(f.synced, object)
				return budget.keep(8)
			})
		}
		return skipValue(from)
	})
}

// answeredVolume is a volume of which no more objects are decoded than answerObjects.
type answeredVolume struct {
	engine.VolumeFacts
	Objects objectList `json:"objects"`
}

type objectList []engine.ObjectFacts

// UnmarshalJSON decodes the first objects of a list.
func (l *objectList) UnmarshalJSON(text []byte) error {
	from := partDecoder{Decoder: json.NewDecoder(bytes.NewReader(text))}
	return eachElement(from, func() error {
		if len(*l) == answerObjects {
			return skipValue(from)
		}
		var object engine.ObjectFacts
		err := from.Decode(&object)
		*l = append(*l, object)
		return err
	})
}

// eachField calls use with the name of each field of the object that comes next.
func eachField(from partDecoder, use func(string) error) error {
	if begin, err := from.Token(); err != nil || begin != json.Delim('{') {
		return errors.Join(err, errNotUnderstood)
	}
	for from.More() {
		token, err := from.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if err := use(name); err != nil {
			return err
		}
	}
	_, err := from.Token()
	return err
}

// eachElement calls use before each element of the list that comes next, which may be null.
func eachElement(from partDecoder, use func() error) error {
	begin, err := from.Token()
	if err != nil || begin == nil {
		return err
	}
	if begin != json.Delim('[') {
		return errNotUnderstood
	}
	for from.More() {
		if err := use(); err != nil {
			return err
		}
	}
	_, err = from.Token()
	return err
}

// skipValue reads over the value that comes next without keeping it.
func skipValue(from partDecoder) error {
	for depth := 0; ; {
		token, err := from.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func cleanStore(s *engine.StoreFacts, now time.Time) {
	s.Name, s.Type, s.State = printableName(s.Name), printableName(s.Type), printableName(s.State)
	s.Error = printablePassage(s.Error)
	dropFuture(now, &s.Since, &s.LastFailure)
	s.LatencySeconds = min(max(s.LatencySeconds, 0), time.Hour.Seconds())
}

func cleanVolume(v *engine.VolumeFacts, now time.Time) {
	for _, text := range []*string{&v.Namespace, &v.Pod, &v.PodUID, &v.ServiceAccount, &v.Class, &v.Dialect, &v.State, &v.Kind} {
		*text = printableName(*text)
	}
	v.Error = printablePassage(v.Error)
	dropFuture(now, &v.Mounted, &v.Answered, &v.Polled, &v.Since)
	for i := range v.Objects {
		o := &v.Objects[i]
		for _, text := range []*string{&o.Object, &o.Version, &o.Store, &o.StoreName, &o.StoreType, &o.StoreVersion, &o.Source} {
			*text = printableName(*text)
		}
		dropFuture(now, &o.Read)
	}
}

// dropFuture drops times that must be past and are not.
func dropFuture(now time.Time, times ...*time.Time) {
	for _, at := range times {
		if at.After(now.Add(clockSkew)) {
			*at = time.Time{}
		}
	}
}

// sameName says whether a provider means a name, of which it tells the first part of a long one.
func sameName(reported, name string) bool { return reported == message.Printable(name) }
