package dialects

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// podIn is the pod of a file of the gallery, or the one that its Deployment makes.
func podIn(t *testing.T, text string) corev1.PodSpec {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var kind struct{ Kind string }
		unmarshal(t, document, &kind)
		switch kind.Kind {
		case "Pod":
			var p corev1.Pod
			unmarshal(t, document, &p)
			return p.Spec
		case "Deployment":
			var d appsv1.Deployment
			unmarshal(t, document, &d)
			return d.Spec.Template.Spec
		}
	}
	t.Fatal("there is no pod")
	return corev1.PodSpec{}
}

// runsAgent runs the agent of a pod once, in the place of its volumes, and compares what it
// writes: the file of variables, or the files of its target.
func runsAgent(variables string, files map[string]string) func(*testing.T, *gallery, string, pod) {
	return func(t *testing.T, g *gallery, path string, p pod) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var tokens map[string]struct{ Token string }
		if err := json.Unmarshal([]byte(p.tokens), &tokens); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		target, values, token := filepath.Join(dir, "files"), filepath.Join(dir, "values"), filepath.Join(dir, "token")
		g.write(t, token, tokens["vault"].Token)
		args := []string{"agent", "--class-file=" + path, "--once"}
		for _, arg := range podIn(t, string(text)).InitContainers[0].Args[1:] {
			flag, _, _ := strings.Cut(arg, "=")
			switch flag {
			case "--target":
				arg = flag + "=" + target
			case "--env-file":
				arg = flag + "=" + values
			case "--config":
				arg = flag + "=" + g.config
			case "--token":
				arg = flag + "=vault=" + token
			case "--once":
				continue
			}
			args = append(args, arg)
		}
		if output, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		if files != nil {
			exact := map[string][]byte{}
			for name, contents := range files {
				exact[name] = []byte(contents)
			}
			compareFiles(t, pod{volume: target}, exact, expectations{})
			return
		}
		if got, err := os.ReadFile(values); err != nil || string(got) != variables {
			t.Errorf("%v; the variables are\n%s", err, got)
		}
	}
}

// runsExec runs the command of a pod, as the webhook makes it, in the place of the
// application with a command that prints variables.
func runsExec(want map[string]string) func(*testing.T, *gallery, string, pod) {
	return func(t *testing.T, _ *gallery, path string, p pod) {
		t.Helper()
		made, err := exec.CommandContext(t.Context(), binary, "inject", "--dry-run", "-o", "yaml", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		web := podIn(t, string(made)).Containers[0]
		end := slices.Index(web.Command, "--")
		if end < 2 || web.Command[0] != "/lanyard/lanyard-exec" || web.Command[1] != "--volume=/secrets" {
			t.Fatalf("the command is %q", web.Command)
		}
		command := exec.CommandContext(t.Context(), binary, slices.Concat([]string{"exec", "--volume=" + p.volume}, web.Command[2:end], []string{"--", "env", "-0"})...)
		for _, v := range web.Env {
			command.Env = append(command.Env, v.Name+"="+v.Value)
		}
		command.Env = append(command.Env, "PATH="+os.Getenv("PATH"))
		output, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(string(output), "\x00")
		for name, value := range want {
			if !slices.Contains(got, name+"="+value) {
				t.Errorf("%s is not %q in %q", name, value, got)
			}
		}
	}
}
