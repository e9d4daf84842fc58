package scenarios

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

const installPage = "../../../docs/install.md"

// driverVersion is that of the driver in the module that it is built in.
var driverVersion = regexp.MustCompile(`sigs\.k8s\.io/secrets-store-csi-driver v([0-9.]+)`)

// What the scenarios run on stands in docs/install.md, as the parts say themselves:
// LANYARD_UPDATE_GOLDEN=1 writes the row of this cluster. A container runtime and an etcd of
// Debian get patches without a change here, so that two numbers tell their versions.
func TestVersionsThatAreTestedStandInThePage(t *testing.T) {
	s := beside(t)
	nodes, err := s.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	s.must(err)
	info := nodes.Items[0].Status.NodeInfo
	server, err := s.Kube.Discovery().ServerVersion()
	s.must(err)
	if server.GitVersion != info.KubeletVersion {
		t.Fatalf("the API server has version %s, the kubelet %s", server.GitVersion, info.KubeletVersion)
	}
	var vault vaultserver.Answer
	s.must(s.Vault.Call(t.Context(), http.MethodGet, "sys/health", nil, &vault))
	module, err := os.ReadFile("../../driver/go.mod")
	s.must(err)
	driver := driverVersion.FindStringSubmatch(string(module))
	if driver == nil {
		t.Fatal("the driver's module requires no driver")
	}
	kubernetes := strings.TrimPrefix(server.GitVersion, "v")
	runtime := strings.Replace(twoNumbers(info.ContainerRuntimeVersion), "://", " ", 1)
	row := fmt.Sprintf("| %s | %s | %s | %s |", kubernetes, runtime, driver[1], vault.Version)

	page, err := os.ReadFile(installPage)
	s.must(err)
	const begin, end = "<!-- tested -->\n", "\n<!-- end of tested -->"
	before, rest, begins := strings.Cut(string(page), begin)
	table, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has no table of tested versions", installPage)
	}
	if strings.Contains(table, row+"\n") {
		return
	}
	if os.Getenv("LANYARD_UPDATE_GOLDEN") == "" {
		t.Fatalf("%s lacks the row %s; run LANYARD_UPDATE_GOLDEN=1 make e2e RUN=%s, and once more with KUBERNETES=newest", installPage, row, t.Name())
	}
	// Another cluster's row stays: that of the same minor version is this one's.
	var rows strings.Builder
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| "+twoNumbers(kubernetes)+".") {
			rows.WriteString(line)
		}
	}
	s.must(os.WriteFile(installPage, []byte(before+begin+rows.String()+row+"\n"+end+after), 0o644))
}

// twoNumbers is a version, or what ends with one, without what follows its second number.
func twoNumbers(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
