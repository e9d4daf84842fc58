package exec

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// The test binary plays the programs that run a command, and the commands.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAY") {
	case "":
		os.Exit(m.Run())
	case "replace":
		fmt.Println(os.Getpid())
		err := Replace(os.Args[1:], playing("show"))
		fmt.Println(err)
		os.Exit(99)
	case "show":
		fmt.Println(os.Getpid(), os.Getenv("V"), strings.Join(os.Args[1:], ","))
		os.Exit(7)
	case "watch":
		os.Exit(playWatch())
	case "command":
		playCommand()
	}
}

// values are Values that a test gives.
type values map[string]string

func (v values) Begin(context.Context, []reference.Reference) error { return nil }

func (v values) Reference(r reference.Reference) ([]byte, error) {
	if object, named := r.Object(); named {
		return v.Value(object)
	}
	return v.Value(r.File())
}

func (v values) Value(object string) ([]byte, error) {
	if value, ok := v[object]; ok {
		return []byte(value), nil
	}
	return nil, fmt.Errorf("there is no %s", object)
}

func (v values) Objects() ([]string, error) { return sorted(v), nil }

func TestEnvironment(t *testing.T) {
	all := values{"db/password": "planted=1\n", "path": "planted-path", "ref": "lanyard:db/password", "0": "zero"}
	for name, c := range map[string]struct {
		environ []string
		opts    Options
		want    []string
	}{
		"nothing":                {[]string{"A=1", "B=a=b", "C="}, Options{}, []string{"A=1", "B=a=b", "C="}},
		"by name":                {[]string{"A=1", "PGPASSWORD=x"}, Options{Set: map[string]string{"PGPASSWORD": "db/password", "NEW": "path"}}, []string{"A=1", "PGPASSWORD=planted=1\n", "NEW=planted-path"}},
		"a reference":            {[]string{"A=lanyard:db/password", "B=xlanyard:db/password"}, Options{}, []string{"A=planted=1\n", "B=xlanyard:db/password"}},
		"references in a text":   {[]string{"URL=a:${lanyard:path}@${lanyard:db/password}/${OTHER}"}, Options{}, []string{"URL=a:planted-path@planted=1\n/${OTHER}"}},
		"a value is none":        {[]string{"A=lanyard:ref"}, Options{}, []string{"A=lanyard:db/password"}},
		"the first of a name":    {[]string{"A=1", "A=lanyard:none"}, Options{}, []string{"A=1"}},
		"all with a prefix":      {[]string{"A_PATH=mine"}, Options{All: true, Prefix: "A_"}, []string{"A_PATH=mine", "A_0=zero", "A_DB_PASSWORD=planted=1\n", "A_REF=lanyard:db/password"}},
		"set wins over all else": {[]string{"A=lanyard:path"}, Options{Set: map[string]string{"A": "ref"}}, []string{"A=lanyard:db/password"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Environment(t.Context(), c.environ, all, c.opts)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestEnvironmentTellsEverythingThatIsMissing(t *testing.T) {
	all := values{"zero": "a\x00planted", "long": strings.Repeat("planted", maxFile), "a-b": "1", "a.b": "2", "1": "3"}
	_, err := Environment(t.Context(), []string{"A=lanyard:none", "B=x${lanyard:}", "C=lanyard:zero"}, all, Options{All: true, Set: map[string]string{"D": "gone", "E F": "zero", "L": "long"}})
	if err == nil {
		t.Fatal("it is made")
	}
	for _, text := range []string{
		"A: there is no none", "B: names no object", "C: the value of zero has a zero byte", "D: there is no gone", "E F is no name of a variable",
		"L: with the value of long it has more than 131072 bytes", "A_B: objects a-b and a.b have the same variable", "1: object 1 makes no name of a variable",
	} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v\ndoes not tell %s", err, text)
		}
	}
	if strings.Contains(err.Error(), "planted") {
		t.Errorf("a value in %v", err)
	}
}

// volume is a directory as the driver writes it.
func volume(t *testing.T, files map[string]string) Volume {
	t.Helper()
	v := Volume{Dir: t.TempDir()}
	v.write(t, "..1", files)
	return v
}

// write switches the volume to other files.
func (v Volume) write(t *testing.T, state string, files map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range files {
		file := filepath.Join(v.Dir, state, path)
		must(os.MkdirAll(filepath.Dir(file), 0o755))
		must(os.WriteFile(file, []byte(content), 0o600))
		first, _, _ := strings.Cut(path, "/")
		if _, err := os.Lstat(filepath.Join(v.Dir, first)); err != nil {
			must(os.Symlink(filepath.Join("..data", first), filepath.Join(v.Dir, first)))
		}
	}
	must(os.Symlink(state, filepath.Join(v.Dir, "..new")))
	must(os.Rename(filepath.Join(v.Dir, "..new"), filepath.Join(v.Dir, "..data")))
}

func TestVolume(t *testing.T) {
	v := volume(t, map[string]string{"db/password": "planted\n", "db/user/name": "app", "key": "k", "long": strings.Repeat("x", maxFile+1)})
	if all, err := v.Objects(); err != nil || !slices.Equal(all, []string{"db/password", "db/user/name", "key", "long"}) {
		t.Errorf("%v, %v", all, err)
	}
	if value, err := v.Value("db/password"); err != nil || string(value) != "planted\n" {
		t.Errorf("%q, %v", value, err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.WriteFile(outside, []byte("planted"), 0o600), os.Symlink(outside, filepath.Join(v.Dir, "out"))); err != nil {
		t.Fatal(err)
	}
	for object, want := range map[string]string{
		"none": "has no object none; it has db/password, db/user/name, key, long", "db": "is a directory", "../x": "is no path within", "/etc/passwd": "is no path within",
		"long": "more than 131072 bytes", "out": "escapes", "": "is no path within",
	} {
		if value, err := v.Value(object); err == nil || !strings.Contains(err.Error(), want) || value != nil {
			t.Errorf("%s: %q, %v; want %s", object, value, err, want)
		}
	}
	if _, err := (Volume{Dir: v.Dir + "/nowhere"}).Value("a"); err == nil || !strings.Contains(err.Error(), "give --volume the mountPath") {
		t.Error(err)
	}
}

// playing is the environment of the test binary as that part.
func playing(part string, more ...string) []string {
	without := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "PLAY=") })
	return append(without, append(more, "PLAY="+part)...)
}

func play(t *testing.T, part string, args ...string) *osexec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := osexec.Command(own, args...)
	c.Env = playing(part)
	return c
}

func TestReplaceKeepsTheProcess(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := play(t, "replace", own, "a b", "", "ü")
	c.Env = append(c.Env, "V=planted")
	out, err := c.Output()
	var ended *osexec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 7 {
		t.Errorf("%v", err)
	}
	before, after, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if after != before+" planted a b,,ü" {
		t.Errorf("%q", out)
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{filepath.Join(dir, "none"): ExitNotFound, "no-such-command": ExitNotFound, plain: ExitNotExecutable, dir: ExitNotExecutable} {
		var start *StartError
		if err := Replace([]string{command}, nil); !errors.As(err, &start) || start.ExitCode() != want {
			t.Errorf("%s: %v, want code %d", command, err, want)
		}
	}
	huge := make([]string, 64)
	for i := range huge {
		huge[i] = fmt.Sprintf("V%d=%s", i, strings.Repeat("x", maxFile-10))
	}
	if err := Replace([]string{"true"}, huge); err == nil || !strings.Contains(err.Error(), "larger than the kernel takes") {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	for want, f := range map[string]Flags{
		"must be NAME=OBJECT":   {set: []string{"A"}},
		"A is given twice":      {set: []string{"A=b", "A=c"}},
		"--prefix is for":       {prefix: "A_"},
		"--on-change must be":   {onChange: "STOP", watch: true},
		"has no effect without": {onChange: "HUP"},
		"--grace must be":       {grace: -1},
		"--references must be none or some of bank-vaults, secret-init, akv2k8s": {refers: []string{"akv2k8s", "vault"}},
		"--interval at least 100ms": {interval: 1},
	} {
		if f.onChange == "" {
			f.onChange = restart
		}
		if f.grace == 0 {
			f.grace = time.Second
		}
		if f.interval == 0 {
			f.interval = time.Second
		}
		if _, err := f.Options(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestReferencesAreChosen(t *testing.T) {
	for name, want := range map[string][]string{"none": nil, "akv2k8s": {"akv2k8s"}, "bank-vaults,secret-init": {"bank-vaults", "secret-init"}, "": reference.Syntaxes()} {
		var f Flags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.AddTo(flags)
		if name != "" {
			if err := flags.Set("references", name); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := f.Options(); err != nil || !slices.Equal(got.References, want) {
			t.Errorf("%q: %v, %v", name, got.References, err)
		}
	}
}

// playWatch runs the command under Watch. Each line of standard input is a tick, and
// what it says is the value from then on. While the value is slow, the environment is not
// made until the next line, which is no tick.
func playWatch() int {
	ticks, lines := make(chan time.Time), make(chan string)
	value, looked := "one", make(chan bool, 1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			value = in.Text()
			ticks <- time.Time{}
			for value == "slow" && in.Scan() {
				lines <- in.Text()
				break
			}
			<-looked
		}
	}()
	begun := false
	w := Watch{
		Environment: func(ctx context.Context) ([]string, error) {
			now := value
			if now == "slow" {
				fmt.Println("reading")
				select {
				case now = <-lines:
				case <-ctx.Done():
					fmt.Println("gave up")
				}
			}
			if begun {
				looked <- true
			}
			begun = true
			if now == "gone" {
				return nil, errors.New("the volume is gone")
			}
			return playing("command", "V="+now), nil
		},
		Ticks: ticks, Grace: 200 * time.Millisecond, Log: func(format string, args ...any) { fmt.Printf("log: "+format+"\n", args...) },
	}
	if os.Getenv("SIGNAL") != "" {
		w.Signal = syscall.SIGHUP
	}
	own, err := os.Executable()
	if err == nil {
		// As the command line has it: the context ends with the first SIGINT.
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
		defer stop()
		var code int
		if code, err = w.Run(ctx, []string{own}); err == nil {
			return code
		}
	}
	fmt.Println(err)
	return 99
}

// playCommand tells what it gets until it is told to end.
func playCommand() {
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	fmt.Println("started with", os.Getenv("V"))
	for s := range got {
		fmt.Println("got", s)
		switch {
		case s == syscall.SIGTERM && os.Getenv("V") != "stubborn":
			os.Exit(3)
		case s == syscall.SIGUSR2:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
}

// watched is a process that runs a command under Watch.
type watched struct {
	*testing.T
	cmd   *osexec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func watch(t *testing.T, environ ...string) *watched {
	t.Helper()
	w := &watched{T: t, cmd: play(t, "watch")}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.cmd.Env = append(w.cmd.Env, environ...)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.want("started with one")
	return w
}

func (w *watched) value(text string) {
	w.Helper()
	if _, err := io.WriteString(w.in, text+"\n"); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) signal(s os.Signal) {
	w.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) want(lines ...string) {
	w.Helper()
	for _, line := range lines {
		if !w.lines.Scan() || w.lines.Text() != line {
			w.Fatalf("%q, want %q", w.lines.Text(), line)
		}
	}
}

func (w *watched) wantCode(code int) {
	w.Helper()
	rest := &bytes.Buffer{}
	for w.lines.Scan() {
		fmt.Fprintln(rest, w.lines.Text())
	}
	_ = w.cmd.Wait()
	if got := w.cmd.ProcessState.ExitCode(); got != code || rest.Len() > 0 {
		w.Errorf("exit code %d, want %d; left %q", got, code, rest)
	}
}

func TestWatchPassesSignalsAndTheExitCode(t *testing.T) {
	w := watch(t)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGWINCH} {
		w.signal(s)
		w.want("got " + s.String())
	}
	w.signal(syscall.SIGTERM)
	w.want("got terminated")
	w.wantCode(3)

	w = watch(t)
	w.signal(syscall.SIGUSR2)
	w.want("got user defined signal 2")
	w.wantCode(128 + 9)
}

func TestWatchStartsTheCommandAgain(t *testing.T) {
	w := watch(t)
	w.value("one") // no change
	w.value("gone")
	w.want("log: the values cannot be read, and the command keeps those it has: the volume is gone")
	w.value("two")
	w.want("log: a value has changed; the command is started again", "got terminated", "started with two")
	w.value("stubborn")
	w.want("log: a value has changed; the command is started again", "got terminated", "started with stubborn")
	w.value("three")
	w.want("log: a value has changed; the command is started again", "got terminated",
		"log: the command has not ended within 200ms and is killed", "started with three")
	w.signal(syscall.SIGTERM)
	w.want("got terminated")
	w.wantCode(3)
}

// The pod ends while the command is about to be started again: it is not.
func TestWatchEndsDuringARestart(t *testing.T) {
	w := watch(t)
	w.value("stubborn")
	w.want("log: a value has changed; the command is started again", "got terminated", "started with stubborn")
	w.value("never")
	w.want("log: a value has changed; the command is started again", "got terminated")
	w.signal(syscall.SIGINT)
	w.want("got interrupt", "log: the command has not ended within 200ms and is killed")
	w.wantCode(128 + 9)
}

func TestWatchSignalsTheCommand(t *testing.T) {
	w := watch(t, "SIGNAL=1")
	w.value("two")
	w.want("log: a value has changed; the command gets hangup", "got hangup")
	w.value("two")
	w.value("three")
	w.want("log: a value has changed; the command gets hangup", "got hangup")
	w.signal(syscall.SIGTERM)
	w.want("got terminated")
	w.wantCode(3)
}

// Values that take long to be read keep no signal from the command, and its end from nobody.
func TestWatchHandlesSignalsWhileValuesAreRead(t *testing.T) {
	w := watch(t)
	w.value("slow")
	w.want("reading")
	for range 200 {
		w.signal(syscall.SIGURG) // as the Go runtime sends them to itself
	}
	w.signal(syscall.SIGUSR1)
	w.want("got user defined signal 1")
	w.signal(syscall.SIGINT)
	w.want("got interrupt")
	w.value("two")
	w.want("log: a value has changed; the command is started again", "got terminated", "started with two")
	w.value("slow")
	w.want("reading")
	w.signal(syscall.SIGTERM)
	w.want("got terminated", "gave up")
	w.wantCode(3)
}

// A command that is about to end because it was told to is not started again.
func TestWatchLeavesACommandThatEnds(t *testing.T) {
	w := watch(t)
	w.value("stubborn")
	w.want("log: a value has changed; the command is started again", "got terminated", "started with stubborn")
	w.value("slow")
	w.want("reading")
	w.signal(syscall.SIGTERM)
	w.want("got terminated")
	w.value("two")
	w.signal(syscall.SIGUSR2)
	w.want("got user defined signal 2")
	w.wantCode(128 + 9)
}

// The command has ended by itself when a change is acted on, and nobody has noticed yet.
func TestAnEndedCommandIsNotStartedAgain(t *testing.T) {
	p := init1{Watch: Watch{Grace: time.Second, Log: t.Logf}, args: []string{"sh", "-c", "exit 5"}, environ: os.Environ()}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.child))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stat), ") Z ") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if code, ended, err := p.look([]string{"V=two"}, nil); code != 5 || !ended || err != nil {
		t.Errorf("exit code %d, ended %v, %v", code, ended, err)
	}
}

func TestForCommand(t *testing.T) {
	all := forCommand()
	for s, want := range map[syscall.Signal]bool{syscall.SIGURG: false, syscall.SIGCHLD: false, syscall.SIGHUP: true, syscall.SIGTERM: true, syscall.SIGWINCH: true, 37: true} {
		if slices.Contains(all, os.Signal(s)) != want {
			t.Errorf("%v caught for the command: %v", s, !want)
		}
	}
}

func TestFlagsRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, f := range map[string]Flags{
		"replace": {onChange: restart, grace: time.Second, interval: time.Second},
		"watch":   {onChange: restart, grace: time.Second, interval: time.Second, watch: true},
	} {
		if _, err := f.Run(ctx, []string{"true"}, nil, values{}, io.Discard); err == nil || err.Error() != "interrupted before the command was started" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllSetsNothingThatDecidesWhatRuns(t *testing.T) {
	all := values{}
	names := []string{"ld_preload", "ld/library/path", "LD-AUDIT", "bash_env", "env", "ifs", "pythonpath", "python/startup", "node-options", "java_tool_options", "_java_options", "godebug", "perl5opt", "dotnet_startup_hooks", "git_ssh_command", "https_proxy", "glibc_tunables",
		"app_opts", "maven/opts", "ibm_java_options", "npm_config_registry", "yarn/rc", "git/config/count", "gunicorn_cmd_args", "uwsgi_py", "lessopen", "rustc_wrapper", "cargo/home", "spring_config_location",
		"sslkeylogfile", "aws_ca_bundle", "aws_endpoint_url_s3", "aws_shared_credentials_file", "bundle_gemfile", "pip_index_url", "docker_host", "grpc_default_ssl_roots_file_path", "xdg_config_home", "pgsslmode"}
	for _, name := range names {
		all[name] = "planted"
	}
	_, err := Environment(t.Context(), nil, all, Options{All: true})
	if err == nil {
		t.Fatal("it is made")
	}
	for _, name := range names {
		if want := VariableOf(name) + ": object " + name + " would set a variable that decides"; !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
	// The rule holds for the whole name: a prefix may make one of the list, and one of one's own leaves only
	// the options of a start script.
	for object, prefix := range map[string]string{"preload": "LD_", "registry": "npm_config_", "opts": "APP_", "java_opts": "APP_"} {
		if _, err := Environment(t.Context(), nil, values{object: "planted"}, Options{All: true, Prefix: prefix}); err == nil {
			t.Errorf("prefix %s with object %s is taken", prefix, object)
		}
	}
	own := values{}
	for _, name := range names {
		if !strings.HasSuffix(name, "opts") && name != "ibm_java_options" && name != "_java_options" {
			own[name] = "planted"
		}
	}
	harmless := values{"env/name": "a", "node/password": "b", "old_path": "c", "golang": "d", "opts": "e", "db_options": "f", "aws_secret_access_key": "g", "pgpassword": "h"}
	for prefix, all := range map[string]values{"": harmless, "APP_": own} {
		if got, err := Environment(t.Context(), nil, all, Options{All: true, Prefix: prefix}); err != nil || len(got) != len(all) {
			t.Errorf("prefix %q: %v, %v", prefix, got, err)
		}
	}
	if got, err := Environment(t.Context(), nil, values{"ld_preload": "a"}, Options{Set: map[string]string{"LD_PRELOAD": "ld_preload"}}); err != nil || len(got) != 1 {
		t.Errorf("by name: %v, %v", got, err)
	}
}

// counted counts what is read.
type counted struct {
	values
	reads map[string]int
}

func (c counted) Reference(r reference.Reference) ([]byte, error) {
	c.reads[r.Text]++
	return c.values.Reference(r)
}

func TestWhatIsTooLargeIsNotMade(t *testing.T) {
	all := values{"a": strings.Repeat("planted-", 15_000)}
	var same []string
	for i := range 20_000 {
		same = append(same, fmt.Sprintf("V%d=lanyard:a", i))
	}
	var each []string
	for i := range 900 {
		object := fmt.Sprintf("o%d", i)
		all[object] = all["a"]
		each = append(each, "${lanyard:"+object+"}")
	}
	for name, c := range map[string]struct {
		environ []string
		want    string
		reads   int
	}{
		"one object often in a text":        {[]string{"X=" + strings.Repeat("${lanyard:a}", 2000)}, "X: has more than 131072 bytes", 1},
		"many objects in a text":            {[]string{"X=" + strings.Join(each, "")}, "X: has more than 131072 bytes", 2},
		"one object in many variables":      {same, "the environment has more than 6291456 bytes", 1},
		"one that is missing, and often":    {[]string{"X=" + strings.Repeat("${lanyard:none}", 2000)}, "X: there is no none", 1},
		"more references than there may be": {[]string{"X=" + strings.Join(each, ""), "Y=" + strings.ReplaceAll(strings.Join(each, ""), ":o", ":p")}, "1800 references; the maximum is 1000", 0},
	} {
		values := counted{all, map[string]int{}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Environment(t.Context(), c.environ, values, Options{})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "planted") || len(err.Error()) > 500 {
			t.Errorf("%s: %.500v; want %s", name, err, c.want)
		}
		reads := 0
		for _, n := range values.reads {
			reads += n
		}
		if made := after.TotalAlloc - before.TotalAlloc; reads != c.reads || made > 40<<20 {
			t.Errorf("%s: %d reads, want %d; %d bytes", name, reads, c.reads, made)
		}
	}
	if _, err := Environment(t.Context(), nil, all, Options{All: true}); err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "more than 6291456 bytes") {
		t.Errorf("%.500v", err)
	}
}
