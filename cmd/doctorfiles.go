package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/server/csi"
)

// errorLines are the lines of an error, each of which is a problem of its own.
func errorLines(err error) []string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// needConfig says that a check could not look because the configuration cannot be used.
func (d *doctorNode) needConfig(n *doctorNotes) bool {
	if d.engine == nil {
		n.unknown("", noFix, "not looked at: the configuration cannot be used")
	}
	return d.engine != nil
}

// privateFiles are the settings whose files hold what others must not read.
var privateFiles = []string{"keyRing", "clientKeyFile", "secretIDFile", "tokenFile", "jwtFile", "headersFile", "keyFile", "credentialsFile", "chainKeyFile", "versionKeyFile", "webIdentityTokenFile"}

// doctorFile is a file that the configuration names.
type doctorFile struct {
	setting, path string
	private       bool
}

// filesOf are the files that settings name: absolute paths in settings whose names end so.
func filesOf(at string, settings map[string]any) (found []doctorFile) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		setting := at + name
		switch value := settings[name].(type) {
		case map[string]any:
			found = append(found, filesOf(setting+".", value)...)
		case []any:
			for i, item := range value {
				if below, ok := item.(map[string]any); ok {
					found = append(found, filesOf(fmt.Sprintf("%s[%d].", setting, i), below)...)
				}
			}
		case string:
			if filepath.IsAbs(value) && (strings.HasSuffix(name, "File") || strings.HasSuffix(name, "Dir") || name == "keyRing") {
				found = append(found, doctorFile{setting, value, slices.Contains(privateFiles, name)})
			}
		}
	}
	return found
}

func (d *doctorNode) files() []doctorFile {
	c := &d.written
	var found []doctorFile
	for _, name := range slices.Sorted(maps.Keys(c.Stores)) {
		found = append(found, filesOf("stores."+name+".", c.Stores[name].Fields)...)
	}
	for _, one := range []doctorFile{
		{"cache.versionKeyFile", c.Cache.VersionKeyFile, true},
		{"proxy.caCertFile", c.Proxy.CACertFile, false},
		{"proxy.credentialsFile", c.Proxy.CredentialsFile, true},
		{"audit.chainKeyFile", c.Audit.ChainKeyFile, true},
		{"audit.webhook.tokenFile", c.Audit.Webhook.TokenFile, true},
		{"audit.webhook.caCertFile", c.Audit.Webhook.CACertFile, false},
		{"audit.webhook.clientCertFile", c.Audit.Webhook.ClientCertFile, false},
		{"audit.webhook.clientKeyFile", c.Audit.Webhook.ClientKeyFile, true},
	} {
		if one.path != "" {
			found = append(found, one)
		}
	}
	return found
}

// maxDoctorFile is the most bytes of a file that the configuration names: more than any has.
const maxDoctorFile = 16 << 20

func (d *doctorNode) checkFiles(_ context.Context, n *doctorNotes) {
	if d.config == "" {
		n.ok("", "the configuration names none")
		return
	}
	if !d.needConfig(n) {
		return
	}
	files := d.files()
	if len(files) == 0 {
		n.ok("", "the configuration names none")
	}
	for _, file := range files {
		if info, err := os.Stat(file.path); err == nil && info.IsDir() {
			n.ok(file.setting, "%s is a directory", file.path)
			continue
		}
		read := nodefile.Read
		if file.private {
			read = nodefile.ReadPrivate
		}
		_, err := read(file.path, maxDoctorFile)
		switch {
		case err == nil:
			n.ok(file.setting, "%s can be read", file.path)
		case errors.Is(err, fs.ErrNotExist) && !d.onNode:
			n.unknown(file.setting, fixWith("run this on the node, with --node"), "%s is not on this machine", file.path)
		case errors.Is(err, fs.ErrNotExist):
			n.fail(file.setting, fixWith("mount it: a Secret in the chart's value secrets is the file /etc/lanyard/secrets/NAME/KEY"), "%s does not exist", file.path)
		default:
			n.fail(file.setting, fixWith("ls -l %s", file.path), "%v", unnamed(file.path, err))
		}
	}
}

func (d *doctorNode) checkKeyRing(_ context.Context, n *doctorNotes) {
	path, _ := d.written.Stores[sealedStore].Fields["keyRing"].(string)
	if path == "" {
		n.ok("", "the configuration names no key ring")
		return
	}
	ring, err := seal.ReadKeyRing(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !d.onNode:
		n.unknown("stores.sealed", fixWith("run this on the node, with --node"), "%s is not on this machine", path)
		return
	case errors.Is(err, fs.ErrNotExist):
		n.fail("stores.sealed", fixWith("kubectl create secret generic keyring --from-file=keyring.yaml, and helm upgrade with secrets: [keyring]"), "%s does not exist: no sealed value can be opened", path)
		return
	case err != nil:
		n.fail("stores.sealed", fixWith("lanyard pubkey %s", path), "%v", unnamed(path, err))
		return
	}
	n.ok("stores.sealed", "%s has %s", path, count(len(ring.Keys()), "key"))
	for _, class := range d.classes {
		for _, object := range d.sealedObjects(class) {
			value, err := seal.Parse(object.text)
			if err != nil {
				n.fail(class.name+" "+object.id, fixWith("lanyard inspect"), "%v", err)
			} else if why := notIn(ring, value); why != "" {
				n.fail(class.name+" "+object.id, fixWith("lanyard reseal"), "the value cannot be opened: %s", why)
			}
		}
	}
}

// sealedObject is an object with a sealed value.
type sealedObject struct{ id, text string }

func (d *doctorNode) sealedObjects(class classManifest) (found []sealedObject) {
	if d.engine == nil {
		return nil
	}
	parse := dialects(d.engine.dialectSettings)[class.provider]
	if parse == nil {
		return nil
	}
	read, err := parse(class.parameters)
	if err != nil {
		return nil // the check of classes tells it
	}
	for _, o := range read.Objects {
		if o.Sealed != "" {
			found = append(found, sealedObject{objectLabel(o), o.Sealed})
		}
	}
	return found
}

func (d *doctorNode) checkFileRoots(_ context.Context, n *doctorNotes) {
	found := false
	for _, name := range slices.Sorted(maps.Keys(d.written.Stores)) {
		s := d.written.Stores[name]
		if s.Type != "file" {
			continue
		}
		found = true
		root, _ := s.Fields["root"].(string)
		place := "store " + name
		entries, err := os.ReadDir(root)
		switch {
		case err != nil && !d.onNode:
			n.unknown(place, fixWith("run this on the node, with --node"), "%s is not on this machine", root)
		case errors.Is(err, fs.ErrNotExist):
			n.fail(place, fixWith("helm upgrade with --set %s, and make the directory on each node", "hostDirectories={"+helmValue(root)+"}"), "its root %s does not exist here", root)
		case err != nil:
			n.fail(place, fixWith("ls -ld %s", root), "its root cannot be read: %v", unnamed(root, err))
		case len(entries) == 0:
			n.warn(place, fixWith("ls -l %s", root), "its root %s is empty", root)
		default:
			n.ok(place, "its root %s has %s", root, count(len(entries), "file"))
		}
	}
	if !found {
		n.ok("", "no store is of type file")
	}
}

func (d *doctorNode) checkSockets(ctx context.Context, n *doctorNotes) {
	if !d.onNode {
		n.ok("", "not looked at: this is not said to be a node (--node)")
		return
	}
	if len(d.dialects) == 0 {
		n.ok("", "no dialect is to answer here (--dialects)")
	}
	for _, dialect := range d.dialects {
		path, err := csi.SocketPath(d.socketDir, dialect)
		if err != nil {
			n.fail(dialect, fixWith("lanyard serve --dialects"), "%v", err)
			continue
		}
		err = csi.Probe(ctx, path)
		if other := csi.HiddenBy(d.socketDir, dialect); other != "" {
			n.fail(dialect, fixWith("rm %s, if no provider uses it", other), "the driver finds %s before %s", other, path)
		}
		if err == nil {
			n.ok(dialect, "a provider answers at %s", path)
			continue
		}
		if elsewhere := d.otherSocket(ctx, path, dialect); elsewhere != "" {
			n.fail(dialect, fixWith("helm upgrade with socketDirectory: %s, the directory where this node's driver looks", d.socketDir), "no provider answers at %s, but one does at %s, in the other directory", path, elsewhere)
			continue
		}
		_, missing := os.Stat(path)
		switch {
		case errors.Is(missing, fs.ErrNotExist):
			n.fail(dialect, fixWith("kubectl rollout restart daemonset/lanyard -n lanyard"), "%s is gone: the provider does not run on this node, does not answer to this dialect, or somebody has removed the socket", path)
		default:
			n.fail(dialect, fixWith("kubectl logs -n lanyard daemonset/lanyard"), "%v", err)
		}
	}
}

// doctorDirectories are where a provider may have made its sockets instead.
var doctorDirectories = csi.Directories()

// otherSocket is where a provider answers instead of path, among the directories that the driver
// knows.
func (d *doctorNode) otherSocket(ctx context.Context, path, dialect string) string {
	for _, directory := range doctorDirectories {
		other, err := csi.SocketPath(directory, dialect)
		if err == nil && other != path && csi.Probe(ctx, other) == nil {
			return other
		}
	}
	return ""
}
