package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/lanyardhq/lanyard/integration/cluster"
)

// secretsDir is where a pod's container has its volumes, each below the name of
// its class.
const secretsDir = "/secrets"

// pod is a pod with one container.
type pod struct {
	Name string
	// Account is its service account; account if empty.
	Account string
	// Classes are mounted at /secrets/CLASS, each in a volume of its own.
	Classes []string
	// Attributes are given to each volume beside its class's name.
	Attributes map[string]string
	// Credentials names the Secret of the volumes' nodePublishSecretRef.
	Credentials string
	// Security is the pod's, Container the container's.
	Security  *corev1.PodSecurityContext
	Container *corev1.SecurityContext
	// Env is the container's environment.
	Env []corev1.EnvVar
}

// object is the pod as the API knows it.
func (p pod) object() *corev1.Pod {
	serviceAccount := p.Account
	if serviceAccount == "" {
		serviceAccount = account
	}
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	for _, class := range p.Classes {
		attributes := map[string]string{"secretProviderClass": class}
		for name, value := range p.Attributes {
			attributes[name] = value
		}
		source := &corev1.CSIVolumeSource{Driver: cluster.DriverName, ReadOnly: new(true), VolumeAttributes: attributes}
		if p.Credentials != "" {
			source.NodePublishSecretRef = &corev1.LocalObjectReference{Name: p.Credentials}
		}
		volumes = append(volumes, corev1.Volume{Name: class, VolumeSource: corev1.VolumeSource{CSI: source}})
		mounts = append(mounts, corev1.VolumeMount{Name: class, MountPath: secretsDir + "/" + class, ReadOnly: true})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name},
		Spec: corev1.PodSpec{
			ServiceAccountName: serviceAccount, AutomountServiceAccountToken: new(false),
			SecurityContext: p.Security, TerminationGracePeriodSeconds: new(int64(1)),
			Volumes: volumes,
			Containers: []corev1.Container{{
				Name: "web", Image: cluster.Workload, ImagePullPolicy: corev1.PullNever,
				SecurityContext: p.Container, Env: p.Env, VolumeMounts: mounts,
			}},
		},
	}
}

// create makes a pod and does not wait for it.
func (s *scenario) create(p pod) {
	s.t.Helper()
	_, err := s.Kube.CoreV1().Pods(s.namespace).Create(s.t.Context(), p.object(), metav1.CreateOptions{})
	s.must(err)
}

// start makes pods and waits until they are ready.
func (s *scenario) start(pods ...pod) {
	s.t.Helper()
	for _, p := range pods {
		s.create(p)
	}
	for _, p := range pods {
		s.ready(p.Name)
	}
}

// ready waits until a pod is ready.
func (s *scenario) ready(name string) {
	s.t.Helper()
	s.eventually("pod "+name+" is ready", func() error {
		found := s.get(name)
		for _, condition := range found.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		events, err := s.events(name)
		return errors.Join(fmt.Errorf("it is %s; %s", found.Status.Phase, strings.Join(events, "; ")), err)
	})
}

// get is the pod as it is now.
func (s *scenario) get(name string) *corev1.Pod {
	s.t.Helper()
	found, err := s.Kube.CoreV1().Pods(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	s.must(err)
	return found
}

// end deletes a pod and waits until it is gone.
func (s *scenario) end(name string) {
	s.t.Helper()
	s.must(s.Kube.CoreV1().Pods(s.namespace).Delete(s.t.Context(), name, metav1.DeleteOptions{}))
	s.eventually("pod "+name+" is gone", func() error {
		_, err := s.Kube.CoreV1().Pods(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
}

// events are what the kubelet says of a pod's failed mounts, the last one last.
func (s *scenario) events(name string) ([]string, error) {
	list, err := s.Kube.CoreV1().Events(s.namespace).List(s.t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.name=" + name + ",reason=FailedMount",
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	messages := make([]string, len(list.Items))
	for i, event := range list.Items {
		messages[i] = event.Message
	}
	return messages, nil
}

// event waits for an event of a failed mount of the pod that has all the texts,
// and returns it.
func (s *scenario) event(name string, texts ...string) (message string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("an event of pod %s says %q", name, texts), func() error {
		messages, err := s.events(name)
		if err != nil {
			return err
		}
		for _, said := range messages {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(said, text) }) {
				message = said
				return nil
			}
		}
		return fmt.Errorf("there are %q", messages)
	})
	return message
}

// exec runs a command in the pod's container and returns what it printed.
func (s *scenario) exec(name string, command ...string) (string, error) {
	config, err := s.Config()
	if err != nil {
		return "", err
	}
	request := s.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(s.namespace).Name(name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(config, "POST", request.URL())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// read is the content of a file of a class's volume, read in the container.
func (s *scenario) read(name, class, path string) string {
	s.t.Helper()
	content, err := s.exec(name, "cat", secretsDir+"/"+class+"/"+path)
	s.must(err)
	return content
}

// holds fails the test unless the container finds just these files in a class's
// volume, by path, with these contents.
func (s *scenario) holds(name, class string, files map[string]string) {
	s.t.Helper()
	listing, err := s.exec(name, "sh", "-c", "cd "+secretsDir+"/"+class+" && find -L . -type f -not -path './..*'")
	s.must(err)
	for path := range strings.FieldsSeq(listing) {
		if _, ok := files[strings.TrimPrefix(path, "./")]; !ok {
			s.t.Errorf("pod %s, class %s: there is %s too", name, class, path)
		}
	}
	for path, want := range files {
		if got := s.read(name, class, path); got != want {
			s.t.Errorf("pod %s, class %s: %s holds %q, not %q", name, class, path, got, want)
		}
	}
}

// volume is the path on the node of a class's volume in a pod.
func (s *scenario) volume(name, class string) string {
	s.t.Helper()
	return filepath.Join(s.KubeletRoot(), "pods", string(s.get(name).UID), "volumes", "kubernetes.io~csi", class, "mount")
}

// becomes waits until a file of a class's volume has the content. It reads on
// the node, where looking often costs little.
func (s *scenario) becomes(name, class, path, content string) {
	s.t.Helper()
	volume := s.volume(name, class)
	s.eventually(fmt.Sprintf("%s of pod %s holds %q", path, name, content), func() error {
		got, err := os.ReadFile(filepath.Join(volume, path))
		if err == nil && string(got) != content {
			err = fmt.Errorf("it holds %q", got)
		}
		return err
	})
}
