package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/binaries"
	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/image"
)

const (
	// Repository is that of the image that is installed.
	Repository = "ghcr.io/lanyardhq/lanyard"
	// Tag is its tag.
	Tag = "lab"

	// ProxyAddress is where the store "watched" expects Vault: whoever runs a
	// scenario puts a proxy there. Nobody listens otherwise.
	ProxyAddress = cluster.Address + ":18201"
)

// Values are those of the chart. The store "files" is for service accounts of
// the name files alone. The build makes another image of the same tag another
// pod.
func (l *Lab) values(build string) string {
	return fmt.Sprintf(`
image: {repository: %s, tag: %s, pullPolicy: Never}
dialects: [lanyard, vault]
podAnnotations: {lanyard.test/build: "%s"}
config:
  cluster: %s
  stores:
    vault:
      type: vault
      address: %s
      tls: {caCertFile: /etc/lanyard/files/vault-ca/ca.pem}
      auth: {method: kubernetes, mount: kubernetes}
    watched:
      type: vault
      address: https://%s
      timeout: 2s
      tls: {caCertFile: /etc/lanyard/files/vault-ca/ca.pem}
      auth: {method: kubernetes, mount: kubernetes, role: %s}
    files:
      type: file
      root: %[8]s
      allow: ["*/files"]
    sealed:
      type: sealed
      keyRing: /etc/lanyard/secrets/key-ring/ring.yaml
  policy: {classStores: true}
sync: {enabled: true, replicas: 1, interval: 1s, driftInterval: 5s, secretSyncs: {enabled: true, crd: true}, restart: {enabled: true}}
configMaps: [vault-ca]
secrets: [key-ring]
hostDirectories: [%[8]s]
`, Repository, Tag, build, ClusterName, VaultAddress, ProxyAddress, Role, l.Files())
}

// Files is the folder of the store "files".
func (l *Lab) Files() string { return l.Path("files") }

// BuildImage builds Lanyard's image from this checkout and gives it to the node
// under the tag, which is also the version that it shows.
func (l *Lab) BuildImage(ctx context.Context, tag string) error {
	source, err := checkout.Path()
	if err != nil {
		return err
	}
	return l.BuildImageFrom(ctx, source, tag)
}

// BuildImageFrom is BuildImage for the source in another folder.
func (l *Lab) BuildImageFrom(ctx context.Context, source, tag string) error {
	opts := image.Options{
		Source: source, Certificates: image.DebianCertificates, Version: tag,
		Created: time.Unix(0, 0), Architectures: []string{"amd64"},
	}
	index, err := image.Build(ctx, opts)
	if err != nil {
		return err
	}
	layout, archive := l.imageLayout(tag), l.imageLayout(tag)+".tar"
	if err := image.WriteLayout(layout, Repository, tag, index); err != nil {
		return err
	}
	if err := image.WriteArchive(archive, layout, opts.Architectures[0], opts.Created); err != nil {
		return err
	}
	return l.ImportImage(ctx, archive)
}

// installLanyard installs the chart as docs/install.md tells.
func (l *Lab) installLanyard(ctx context.Context) error {
	if err := os.Mkdir(l.Files(), 0o755); err != nil { //nolint:gosec // others may look
		return err
	}
	if _, err := l.Lanyard(ctx, nil, "keygen", "--out", l.Path("ring.yaml"), "--cluster", ClusterName, "--public-out", l.publicRing()); err != nil {
		return err
	}
	if err := l.createNamespace(ctx); err != nil {
		return err
	}
	return l.upgrade(ctx)
}

// Refresh brings the Lanyard of a lab that was up already to this checkout:
// image, chart and command line. What runs is replaced only if that changes it.
func (l *Lab) Refresh(ctx context.Context) error {
	l.progress("Lanyard, as this checkout has it")
	if err := errors.Join(l.buildBinary(ctx), l.BuildImage(ctx, Tag)); err != nil {
		return err
	}
	if err := errors.Join(l.StopKMS(ctx), l.StartKMS(ctx)); err != nil {
		return err
	}
	return l.upgrade(ctx)
}

// upgrade installs or upgrades the release to the image that was built last.
func (l *Lab) upgrade(ctx context.Context) error {
	index, err := os.ReadFile(filepath.Join(l.imageLayout(Tag), "index.json"))
	if err != nil {
		return err
	}
	build := sha256.Sum256(index)
	if err := os.WriteFile(l.Path("values.yaml"), []byte(l.values(hex.EncodeToString(build[:8]))), 0o600); err != nil {
		return err
	}
	return l.Helm(ctx)
}

func (l *Lab) imageLayout(tag string) string { return l.Path("image-" + tag) }

// createNamespace makes the namespace with what the configuration names files of.
func (l *Lab) createNamespace(ctx context.Context) error {
	ring, err := os.ReadFile(l.Path("ring.yaml"))
	if err != nil {
		return err
	}
	authority, err := l.Authority()
	if err != nil {
		return err
	}
	_, err = l.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = l.Kube.CoreV1().Secrets(Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "key-ring"}, Data: map[string][]byte{"ring.yaml": ring},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = l.Kube.CoreV1().ConfigMaps(Namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string]string{"ca.pem": string(authority)},
	}, metav1.CreateOptions{})
	return err
}

// Helm installs or upgrades the release with the lab's values and those given,
// each as NAME=VALUE, and waits until its pods are ready.
func (l *Lab) Helm(ctx context.Context, set ...string) error { return l.HelmWith(ctx, nil, set...) }

// HelmWith is Helm with further files of values, which override the lab's.
func (l *Lab) HelmWith(ctx context.Context, files []string, set ...string) error {
	chart, err := checkout.Path("deployment", "charts", "lanyard")
	if err != nil {
		return err
	}
	args := []string{
		"upgrade", "--install", Release, chart, "--namespace", Namespace,
		"--values", l.Path("values.yaml"), "--wait", "--timeout", "2m",
	}
	for _, file := range files {
		args = append(args, "--values", file)
	}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	if err := l.runHelm(ctx, args...); err != nil {
		return err
	}
	return l.AwaitProviders(ctx)
}

// AwaitProviders waits until the DaemonSet's pods are ready and of its newest
// kind, and those that they replace have gone. Helm does not: it takes a DaemonSet
// of one pod that may be unavailable for ready at once; and the DaemonSet's status
// counts nodes, on which the pod that is replaced is ready until it goes.
func (l *Lab) AwaitProviders(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		set, err := l.Kube.AppsV1().DaemonSets(Namespace).Get(ctx, Release, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now := set.Status
		if now.ObservedGeneration == set.Generation && now.DesiredNumberScheduled > 0 &&
			now.UpdatedNumberScheduled == now.DesiredNumberScheduled && now.NumberReady == now.DesiredNumberScheduled {
			pods, err := l.providers(ctx, Namespace)
			if err != nil {
				return err
			}
			if len(pods) == int(now.DesiredNumberScheduled) && !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !stays(&p) }) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pods of Lanyard are ready: %w", now.NumberReady, now.DesiredNumberScheduled, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Uninstall removes the release.
func (l *Lab) Uninstall(ctx context.Context) error {
	return l.runHelm(ctx, "uninstall", Release, "--namespace", Namespace, "--wait", "--timeout", "2m")
}

// HelmBinary is the path of Helm.
func (l *Lab) HelmBinary(ctx context.Context) (string, error) {
	dir, err := binaries.Build(ctx, binaries.Source{Module: "helm", Packages: []string{"helm.sh/helm/v3/cmd/helm"}})
	return filepath.Join(dir, "helm"), err
}

func (l *Lab) runHelm(ctx context.Context, args ...string) error {
	helm, err := l.HelmBinary(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, helm, args...) //nolint:gosec // built here
	cmd.Env = []string{"HOME=" + l.Dir, "KUBECONFIG=" + l.Kubeconfig}
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("helm %s: %w\n%s", args[0], err, output)
	}
	return nil
}

func (l *Lab) publicRing() string { return l.Path("public.yaml") }

// buildBinary builds the command line for this machine.
func (l *Lab) buildBinary(ctx context.Context) error {
	source, err := checkout.Path()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", l.Path("lanyard"), ".") //nolint:gosec // a path of ours
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build lanyard: %w\n%s", err, output)
	}
	return nil
}

// Lanyard runs the command line on the node and returns what it printed.
func (l *Lab) Lanyard(ctx context.Context, input []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.Path("lanyard"), args...) //nolint:gosec // built here
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", errors.Join(fmt.Errorf("lanyard %s: %w", args[0], err), errors.New(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Seal seals a value for an object of a service account's classes.
func (l *Lab) Seal(ctx context.Context, namespace, account, object string, value []byte) (string, error) {
	return l.Lanyard(ctx, value, "seal", "--public", l.publicRing(), "--namespace", namespace, "--service-account", account, "--name", object)
}
