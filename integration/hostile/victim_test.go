package hostile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// secrets is how many the victim's volume has, beside a dynamic credential and a
// template of two of them.
const secrets = 20

func victimClass() map[string]string {
	var objects strings.Builder
	for i := range secrets {
		fmt.Fprintf(&objects, "- {path: secret-%d, store: vault, key: kv/secret-%d, property: value}\n", i, i)
	}
	objects.WriteString("- {path: user, store: vault, key: db/creds/app, property: username}\n")
	objects.WriteString("- {path: password, store: vault, key: db/creds/app, property: password}\n")
	objects.WriteString("- {path: app.conf, template: 'user={{ .user }} first={{ index . \"secret-0\" }}'}\n")
	return map[string]string{"objects": objects.String()}
}

// victim is a pod that runs, whose volume is polled, and pods of its class that
// start beside it.
type victim struct {
	*lab
	pod  pod
	user string // of the dynamic credential that the pod holds

	mu     sync.Mutex
	polls  []time.Duration
	starts []time.Duration
	failed []error
}

// newVictim mounts the pod's volume.
func newVictim(ctx context.Context, l *lab) (*victim, error) {
	v := &victim{lab: l, pod: l.newPod(victims, "web")}
	response, err := v.mount(ctx, v.pod, victimClass())
	if err != nil {
		return nil, err
	}
	v.user = contents(response)["user"]
	return v, check(response)
}

func contents(response *v1alpha1.MountResponse) map[string]string {
	files := map[string]string{}
	for _, file := range response.GetFiles() {
		files[file.GetPath()] = string(file.GetContents())
	}
	return files
}

// check says whether a volume is whole.
func check(response *v1alpha1.MountResponse) error {
	files := contents(response)
	for i := range secrets {
		if got := files[fmt.Sprint("secret-", i)]; got != fmt.Sprint("value ", i) {
			return fmt.Errorf("secret-%d holds %q", i, got)
		}
	}
	if want := "user=" + files["user"] + " first=value 0"; files["app.conf"] != want || files["user"] == "" {
		return fmt.Errorf("app.conf holds %q", files["app.conf"])
	}
	return nil
}

// live polls at the interval and starts a new pod at each poll, until ctx ends.
func (v *victim) live(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		running.Go(func() { v.note(&v.polls, v.poll()) })
		running.Go(func() { v.note(&v.starts, v.start()) })
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

type outcome struct {
	took time.Duration
	err  error
}

func (v *victim) note(times *[]time.Duration, o outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*times = append(*times, o.took)
	if o.err != nil {
		v.failed = append(v.failed, o.err)
	}
}

// poll is a poll of the pod that runs: whole, and with the credential that it has.
func (v *victim) poll() outcome {
	start := time.Now()
	response, err := v.mount(context.Background(), v.pod, victimClass())
	took := time.Since(start)
	if err == nil {
		err = check(response)
	}
	if user := contents(response)["user"]; err == nil && user != v.user {
		err = errors.New("the pod's credential was evicted: its poll got another user")
		v.user = user
	}
	if err != nil {
		err = fmt.Errorf("poll: %w", err)
	}
	return outcome{took, err}
}

// start is the first mount of a pod, with a template but no lease of its own: a
// database user for each would measure PostgreSQL.
func (v *victim) start() outcome {
	start := time.Now()
	response, err := v.mount(context.Background(), v.newPod(victims, "web"), map[string]string{
		"objects": "- {path: secret-1, store: vault, key: kv/secret-1, property: value}\n- {path: conf, template: '{{ index . \"secret-1\" }}'}\n",
	})
	took := time.Since(start)
	if got := contents(response)["conf"]; err == nil && got != "value 1" {
		err = fmt.Errorf("conf holds %q", got)
	}
	if err != nil {
		err = fmt.Errorf("start: %w", err)
	}
	return outcome{took, err}
}

// worst is the 99th percentile of all mounts; with less than a hundred, the longest.
func (v *victim) worst() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.Sorted(slices.Values(slices.Concat(v.polls, v.starts)))
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, len(all)*99/100)]
}

func (v *victim) takeFailures() (count int, failed []error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	failed = v.failed
	count = len(v.polls) + len(v.starts)
	v.polls, v.starts, v.failed = nil, nil, nil
	return count, failed
}
