package conformance

import (
	"context"
	"fmt"
	"strconv"
	"sync"
)

func identityPoints() []Point {
	return []Point{
		{
			ID: "I-01", Promise: "many pods of several service accounts, mounted at once, get each their own values",
			Source: nodePublish, Why: "a node that starts mounts all of its pods together, and a mix-up gives one workload another's credentials",
			check: manyPods,
		},
		{
			ID: "I-02", Promise: "a service account does not get what another one was given a moment ago",
			Source: nodePublish, Why: "a cache that does not ask who asks undoes the store's access control",
			needs: []func(*Provider) string{twoAccounts},
			check: stranger,
		},
		{
			ID: "I-03", Promise: "who is refused another's secret still gets its own, and the other one too",
			Source: nodePublish, Why: "a refusal that is kept for the wrong account is an outage that one pod can make for another",
			needs: []func(*Provider) string{twoAccounts},
			check: strangerDoesNoHarm,
		},
	}
}

func manyPods(ctx context.Context, s *session) error {
	const pods, inFlight = 60, 16
	objects, values := make([]Object, len(s.Accounts)), make([][]byte, len(s.Accounts))
	for i, owner := range s.Accounts {
		var err error
		// The same name for all: what they have in common must not mix them up.
		if objects[i], values[i], err = s.putNew(ctx, owner, "own"); err != nil {
			return err
		}
	}
	slots := make(chan struct{}, inFlight)
	failed := make([]error, pods)
	var mounts sync.WaitGroup
	for i := range pods {
		who := i % len(s.Accounts)
		slots <- struct{}{}
		mounts.Go(func() {
			defer func() { <-slots }()
			a, err := s.mountNew(ctx, s.Accounts[who], objects[who])
			failed[i] = expect(a, err, map[string][]byte{objects[who].Path: values[who]})
		})
	}
	mounts.Wait()
	var w wrongs
	for i, err := range failed {
		if err != nil {
			w.add("pod %s of %s: %w", strconv.Itoa(i+1), s.Accounts[i%len(s.Accounts)], err)
		}
	}
	return w.err()
}

// strange mounts what belongs to the first account, then the same class as the
// second, and returns what that was answered.
func (s *session) strange(ctx context.Context) (object Object, value []byte, a answer, err error) {
	owner := s.Accounts[0]
	object, value, err = s.putNew(ctx, owner, "strange")
	if err != nil {
		return object, value, a, err
	}
	a, err = s.mountNew(ctx, owner, object)
	if err := expect(a, err, map[string][]byte{object.Path: value}); err != nil {
		return object, value, a, err
	}
	a, err = s.mountPod(ctx, s.newPod(s.Accounts[1]), owner, object)
	return object, value, a, err
}

func stranger(ctx context.Context, s *session) error {
	_, _, a, err := s.strange(ctx)
	if err != nil {
		return err
	}
	if _, failed := a.failure(); !failed {
		return fmt.Errorf("a pod of %s mounted the class of %s and got %d files", s.Accounts[1], s.Accounts[0], len(a.response.GetFiles()))
	}
	return nil
}

func strangerDoesNoHarm(ctx context.Context, s *session) error {
	object, value, _, err := s.strange(ctx)
	if err != nil {
		return err
	}
	var w wrongs
	a, err := s.mountNew(ctx, s.Accounts[0], object)
	w.addErr(expect(a, err, map[string][]byte{object.Path: value}))
	own, ownValue, err := s.putNew(ctx, s.Accounts[1], "own")
	if err != nil {
		return err
	}
	a, err = s.mountNew(ctx, s.Accounts[1], own)
	w.addErr(expect(a, err, map[string][]byte{own.Path: ownValue}))
	return w.err()
}
