package lab

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// adminPort is the chart's default.
const adminPort = "9879"

// Proxy starts a proxy before Vault that classes can reach as a store of theirs,
// on a free port of the node if address is empty. It runs until Close.
func (l *Lab) Proxy(address string) (*faultproxy.Proxy, error) {
	authority, err := l.Authority()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	pair, err := tls.LoadX509KeyPair(l.CertificateFiles("vault"))
	if err != nil {
		return nil, err
	}
	return faultproxy.Start(faultproxy.Options{Target: VaultAddress, Roots: roots, Listen: cmp.Or(address, cluster.Address+":0"), Certificate: &pair})
}

// Provider is Lanyard's pod that serves the node: the one that is ready and not
// being replaced. It waits for it for at most a minute.
func (l *Lab) Provider(ctx context.Context) (*corev1.Pod, error) { return l.ProviderIn(ctx, Namespace) }

// ProviderIn is Provider for a Lanyard that was installed into another
// namespace.
func (l *Lab) ProviderIn(ctx context.Context, namespace string) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		pods, err := l.providers(ctx, namespace)
		if err == nil {
			for i := range pods {
				if stays(&pods[i]) {
					return &pods[i], nil
				}
			}
			err = errors.New("no pod of Lanyard's is ready")
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// providers are the pods of a Lanyard that serves the node.
func (l *Lab) providers(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	pods, err := l.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=lanyard"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// stays says whether a pod is ready and not being replaced.
func stays(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && ready(p) }

func ready(p *corev1.Pod) bool {
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && len(p.Status.ContainerStatuses) > 0
		}
	}
	return false
}

// KillProvider kills Lanyard's process as a crash does; the kubelet starts it
// again.
func (l *Lab) KillProvider(ctx context.Context) error {
	p, err := l.Provider(ctx)
	if err != nil {
		return err
	}
	return l.KillContainer(ctx, p.Status.ContainerStatuses[0].ContainerID)
}

// Metric is the sum of a metric of Lanyard's over all labels.
func (l *Lab) Metric(ctx context.Context, name string) (float64, error) {
	p, err := l.Provider(ctx)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Status.PodIP+":"+adminPort+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it is read to its end
	var sum float64
	found := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if metric, _, _ := strings.Cut(series, "{"); !ok || metric != name {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum, found = sum+number, true
	}
	if !found {
		return 0, errors.Join(lines.Err(), fmt.Errorf("there is no metric %s of Lanyard's", name))
	}
	return sum, nil
}

// Use is what a process takes of the machine.
type Use struct {
	// Memory is resident, in bytes.
	Memory int64
	// Files are those that are open, Goroutines those that live.
	Files, Goroutines int
}

// String is how it is printed.
func (u Use) String() string {
	return fmt.Sprintf("%.1f MiB of memory, %d open files, %d goroutines", float64(u.Memory)/(1<<20), u.Files, u.Goroutines)
}

// ProviderUse is what Lanyard's process takes now: memory and files as the
// kernel counts them, goroutines as its metric has them.
func (l *Lab) ProviderUse(ctx context.Context) (Use, error) {
	p, err := l.Provider(ctx)
	if err != nil {
		return Use{}, err
	}
	goroutines, err := l.Metric(ctx, "go_goroutines")
	if err != nil {
		return Use{}, err
	}
	pid, err := l.ContainerPID(ctx, p.Status.ContainerStatuses[0].ContainerID)
	if err != nil {
		return Use{}, err
	}
	process := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		return Use{}, err
	}
	// The second field is the resident pages. See proc(5).
	statm, err := os.ReadFile(filepath.Join(process, "statm"))
	if err != nil {
		return Use{}, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return Use{}, err
	}
	return Use{Memory: resident * int64(os.Getpagesize()), Files: len(files), Goroutines: int(goroutines)}, nil
}
