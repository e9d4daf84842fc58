package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/integration/bench/syncresult"
)

var classesResource = schema.GroupVersionResource{Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasses"}

// floor writes the Secrets from memory, as many at a time as the controller does.
func (w *world) floor(ctx context.Context, r *syncresult.Result) error {
	const elsewhere = "floor"
	if _, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	began := time.Now()
	err := w.each(ctx, func(ctx context.Context, i int) error {
		_, err := w.kube.CoreV1().Secrets(elsewhere).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: className(i), Labels: map[string]string{"lanyard.dev/synced-from": "00000000-0000-0000-0000-000000000000"},
				Annotations:     map[string]string{"lanyard.dev/versions": `{"password":"00000000000000000000000000000000"}`},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: elsewhere, UID: "00000000-0000-0000-0000-000000000000"}},
			},
			Data: map[string][]byte{"password": []byte("first")},
		}, metav1.CreateOptions{})
		return err
	})
	r.Floor = seconds(time.Since(began))
	if err != nil {
		return err
	}
	return w.each(ctx, func(ctx context.Context, i int) error {
		return w.kube.CoreV1().Secrets(elsewhere).Delete(ctx, className(i), metav1.DeleteOptions{})
	})
}

// each does something for each class, half of the workers at a time.
func (w *world) each(ctx context.Context, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers / 2)
	for i := range w.classes {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

func className(i int) string { return fmt.Sprintf("class-%05d", i) }

// makeClasses makes the classes, each with one Secret of its own name. No two have equal
// parameters.
func (w *world) makeClasses(ctx context.Context, _ *syncresult.Result) error {
	return w.each(ctx, func(ctx context.Context, i int) error {
		class := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
			"metadata": map[string]any{"name": className(i), "namespace": namespace, "annotations": map[string]any{"lanyard.dev/sync": account}},
			"spec": map[string]any{
				"provider": "lanyard",
				"parameters": map[string]any{"objects": fmt.Sprintf("# %s\n- path: password\n  store: vault\n  key: secret/data/%s\n  property: password\n",
					className(i), secretName(i%w.secrets))},
				"secretObjects": []any{map[string]any{
					"secretName": className(i), "type": "Opaque", "data": []any{map[string]any{"objectName": "password", "key": "password"}},
				}},
			},
		}}
		_, err := w.dynamic.Resource(classesResource).Namespace(namespace).Create(ctx, class, metav1.CreateOptions{})
		return err
	})
}

// first waits until every class is synced.
func (w *world) first(ctx context.Context, r *syncresult.Result) error {
	w.proxy.Reset()
	began := time.Now()
	if err := w.startController(ctx); err != nil {
		return err
	}
	for {
		synced, err := metricAt("http://"+admin+"/metrics", `lanyard_sync_objects{kind="class",state="synced"}`)
		if err == nil && int(synced) == w.classes {
			break
		}
		if time.Since(began) > 10*time.Minute {
			log, _ := os.ReadFile(w.directory + "/log") //nolint:errcheck // what there is of it
			return fmt.Errorf("%v of %d classes are synced (%w); the log begins with\n%.4000s", synced, w.classes, err, log)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.First, r.FirstStoreCalls = seconds(time.Since(began)), w.proxy.Count("", "")
	return nil
}

// idle counts while nothing changes.
func (w *world) idle(ctx context.Context, r *syncresult.Result) error {
	select { // what is left of the beginning
	case <-time.After(40 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.proxy.Reset()
	began := time.Now()
	calls, err := w.apiCalls(ctx)
	if err != nil {
		return err
	}
	processor, err := w.processorTime()
	if err != nil {
		return err
	}
	select {
	case <-time.After(w.Options.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := w.apiCalls(ctx)
	if err != nil {
		return err
	}
	then, err := w.processorTime()
	if err != nil {
		return err
	}
	r.Idle, r.IdleStoreCalls, r.IdleAPICalls, r.IdleCPU = seconds(time.Since(began)), w.proxy.Count("", ""), after-calls, seconds(then-processor)
	r.Memory, err = w.memory()
	return err
}

// change changes secrets of the store, one after another, and waits until each is in its
// Secrets.
func (w *world) change(ctx context.Context, r *syncresult.Result) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	for n := range w.changes {
		value := fmt.Sprintf("change-%d", n)
		if err := w.put(ctx, n%w.secrets, value); err != nil {
			return err
		}
		began, changed := time.Now(), map[string]bool{}
		for len(changed) < w.classes/w.secrets {
			if err := w.watch(ctx, func(secret *corev1.Secret) (enough bool) {
				if string(secret.Data["password"]) == value && !changed[secret.Name] {
					changed[secret.Name] = true
					r.Changes = append(r.Changes, seconds(time.Since(began)))
				}
				return len(changed) == w.classes/w.secrets
			}); err != nil {
				return fmt.Errorf("%d Secrets have change %d: %w", len(changed), n, err)
			}
		}
	}
	return nil
}

// watch tells of each Secret, and then of each that changes, until it is enough or the
// API server ends the watch.
func (w *world) watch(ctx context.Context, each func(*corev1.Secret) (enough bool)) error {
	watched, err := w.kube.CoreV1().Secrets(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer watched.Stop()
	for {
		select {
		case event, open := <-watched.ResultChan():
			if secret, ok := event.Object.(*corev1.Secret); !open || ok && each(secret) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// metricAt is the value of a metric, whose name and labels are as they are printed.
func metricAt(url, name string) (float64, error) {
	resp, err := http.Get(url) //nolint:gosec,noctx // the controller's own
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// apiCalls are the requests that the API server has answered, its own included, but for
// watches and its own leases.
func (w *world) apiCalls(ctx context.Context) (total int, err error) {
	text, err := w.server.Get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="secrets"`) && !strings.Contains(line, `resource="secretproviderclasses"`) && !strings.Contains(line, `resource="serviceaccounts"`) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
		if err != nil {
			return 0, err
		}
		total += int(value)
	}
	return total, nil
}

// processorTime is what the controller has used of processors.
func (w *world) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	// After the name in parentheses, the 12th and 13th field are in hundredths.
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory is the controller's own memory in MiB.
func (w *world) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return float64(int(kib/102.4)) / 10, err
		}
	}
	return 0, errors.New("the kernel does not say")
}
