package migration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// Plan is the way from what is installed to Lanyard. Its fields are only added to.
type Plan struct {
	// Installed are the providers that were found.
	Installed []Installed `json:"installed"`
	// Driver is what the providers are called by.
	Driver Driver `json:"driver"`
	// Values is a values.yaml for Lanyard's chart, and Config the configuration in it.
	Values string `json:"values"`
	Config string `json:"-"`
	// Settings are the flags and variables that are set, each with its answer.
	Settings []Translated `json:"settings"`
	// ByHand is what somebody has to set or decide, and NotYet what Lanyard cannot do.
	ByHand []Note `json:"byHand"`
	NotYet []Note `json:"notYet"`
	// Refused are classes and pods that would not be served with these values, and
	// Different what will be another than before.
	Refused   []Note `json:"refused"`
	Different []Note `json:"different"`
	// Steps are to be taken in this order.
	Steps []Step `json:"steps"`
	// Afterwards is to be looked at when all is done.
	Afterwards []string `json:"afterwards"`
}

// Installed is a DaemonSet that runs an original.
type Installed struct {
	Provider  string `json:"provider"`
	Namespace string `json:"namespace"`
	DaemonSet string `json:"daemonSet"`
	Image     string `json:"image"`
	// Version is the image's tag, and Compared the version that the translation is for.
	Version  string `json:"version,omitempty"`
	Compared string `json:"compared"`
	// SocketDirectory is on the node; empty if it is not known.
	SocketDirectory string `json:"socketDirectory,omitempty"`
	Windows         bool   `json:"windows,omitempty"`
	// AddOn is what installed the DaemonSet, if a cloud did.
	AddOn string `json:"addOn,omitempty"`
}

// Driver is what is known of the Secrets Store CSI driver.
type Driver struct {
	// DaemonSets and CSIDrivers are the names of the objects that were found.
	DaemonSets []string `json:"daemonSets"`
	CSIDrivers []string `json:"csiDrivers"`
	// Rotation says that mounted volumes are refreshed.
	Rotation bool `json:"rotation"`
	// TokenRequests are the audiences of the tokens that the driver passes.
	TokenRequests []string `json:"tokenRequests"`
}

// Translated is a flag or variable of an original with what becomes of it.
type Translated struct {
	DaemonSet string `json:"daemonSet"`
	// Name is a flag with its dash, or a variable.
	Name string `json:"name"`
	// Answer is translated, none, hand or later.
	Answer string `json:"answer"`
	// To is the place in the values.
	To string `json:"to,omitempty"`
	// Here says what the answer is.
	Here string `json:"here"`
}

// Note is something about an object.
type Note struct {
	// Object is such as "class shop/web"; empty if the note is about no single one.
	Object string `json:"object,omitempty"`
	// Place is the file, line and column, where there is one.
	Place string `json:"place,omitempty"`
	Text  string `json:"text"`
}

// Step is a step of the plan.
type Step struct {
	Do string `json:"do"`
	// Commands are for a shell.
	Commands []string `json:"commands,omitempty"`
	// Check is what to look at before the next step.
	Check string `json:"check,omitempty"`
}

// planner makes a Plan.
type planner struct {
	*Installation
	Plan
	values *values
	// dialects are those that this Lanyard answers to, by provider name.
	dialects map[string]spec.Dialect
	// stores are the operator's stores that the values name.
	stores map[string]bool
	// secrets, configMaps and directories are what the values mount, with their origins.
	secrets, configMaps, directories map[string]string
	// tokens are the audiences that the classes need.
	tokens []string
}

// Plan plans the way. dialects are those that this Lanyard answers to, by provider name.
func (i *Installation) Plan(dialects map[string]spec.Dialect) (*Plan, error) {
	i.sort()
	p := &planner{
		Installation: i, values: newValues(), dialects: dialects, stores: map[string]bool{},
		secrets: map[string]string{}, configMaps: map[string]string{}, directories: map[string]string{},
	}
	p.Plan = Plan{
		Installed: []Installed{}, Settings: []Translated{}, ByHand: []Note{}, NotYet: []Note{},
		Refused: []Note{}, Different: []Note{}, Steps: []Step{}, Afterwards: []string{},
	}
	p.installed()
	p.driver()
	p.setDialects()
	for _, o := range originals() {
		if p.uses(o) {
			p.translate(o)
		}
	}
	p.setSocketDirectory()
	p.setTokens()
	p.values.names("secrets", p.secrets)
	p.values.names("configMaps", p.configMaps)
	p.values.names("hostDirectories", p.directories)
	p.others()
	p.steps()
	var err error
	if p.Values, err = p.values.file("Values of Lanyard's chart in the place of " + strings.Join(p.titles(), ", ") + ", made by lanyard migrate plan."); err != nil {
		return nil, err
	}
	p.Config, err = p.values.config()
	return &p.Plan, err
}

// uses says whether an original is installed, or has classes.
func (p *planner) uses(o *Original) bool {
	return slices.ContainsFunc(p.providers, func(f *found) bool { return f.original == o && !f.windows }) || len(p.classesOf(o)) > 0
}

// classesOf are the classes of an original.
func (p *planner) classesOf(o *Original) (classes []Class) {
	for _, c := range p.classes {
		if originalOf(c.Provider) == o {
			classes = append(classes, c)
		}
	}
	return classes
}

// titles name the originals that the values stand in for.
func (p *planner) titles() (titles []string) {
	for _, o := range originals() {
		if p.uses(o) {
			titles = append(titles, o.Title)
		}
	}
	return titles
}

// object is how notes and comments call a DaemonSet.
func (f *found) object() string {
	return "DaemonSet " + message.Printable(f.daemonSet.Metadata.String())
}

func (p *planner) hand(object, format string, args ...any) {
	p.ByHand = append(p.ByHand, Note{Object: object, Text: fmt.Sprintf(format, args...)})
}

func (p *planner) differs(object, format string, args ...any) {
	p.Different = append(p.Different, Note{Object: object, Text: fmt.Sprintf(format, args...)})
}

func (p *planner) notYet(object, format string, args ...any) {
	p.NotYet = append(p.NotYet, Note{Object: object, Text: fmt.Sprintf(format, args...)})
}

func (p *planner) installed() {
	for _, f := range p.providers {
		p.Installed = append(p.Installed, Installed{
			Provider: f.original.Provider, Namespace: f.daemonSet.Metadata.Namespace, DaemonSet: f.daemonSet.Metadata.Name,
			Image: f.container.Image, Version: f.version(), Compared: f.original.Version,
			SocketDirectory: f.directory, Windows: f.windows, AddOn: f.managed,
		})
	}
}

// driver notes what the driver does.
func (p *planner) driver() {
	d := Driver{DaemonSets: []string{}, CSIDrivers: []string{}, TokenRequests: []string{}}
	for _, pods := range p.drivers {
		d.DaemonSets = append(d.DaemonSets, pods.daemonSet.Metadata.String())
		d.Rotation = d.Rotation || pods.flags["enable-secret-rotation"] == "true"
	}
	for _, c := range p.csi {
		d.CSIDrivers = append(d.CSIDrivers, c.Metadata.Name)
		if c.Metadata.Name != driverName {
			continue
		}
		for _, request := range c.Spec.TokenRequests {
			d.TokenRequests = append(d.TokenRequests, request.Audience)
		}
	}
	slices.Sort(d.DaemonSets)
	d.DaemonSets = slices.Compact(d.DaemonSets)
	slices.Sort(d.CSIDrivers)
	slices.Sort(d.TokenRequests)
	p.Driver = d
}

// setDialects says which provider names are answered to.
func (p *planner) setDialects() {
	names := []string{"lanyard"}
	for _, o := range originals() {
		if p.uses(o) {
			names = append(names, o.Provider)
		}
	}
	for _, c := range p.classes {
		if originalOf(c.Provider) != nil && !slices.Contains(names, c.Provider) {
			names = append(names, c.Provider)
		}
	}
	p.values.set(names, "", "The names in the classes' provider, each with its socket.", "dialects")
}

// setSocketDirectory keeps to the directory of the originals: the driver keeps to the
// socket that it has found once.
func (p *planner) setSocketDirectory() {
	chosen := p.directory()
	for _, f := range p.providers {
		switch {
		case f.windows:
		case f.directory == "":
			p.hand(f.object(), "its socket is in no directory of the node that can be seen here; set socketDirectory to the one that the driver looks in")
		case f.directory == chosen:
			p.values.set(chosen, f.object(), "was: the directory of "+f.original.Provider+".sock, "+f.object(), "socketDirectory")
		default:
			p.differs(f.object(), "its socket is in %s, and Lanyard's will be in %s: the driver keeps to the socket that it has found once, so its pod has to be restarted on each node that is switched",
				message.Printable(f.directory), message.Printable(chosen))
		}
	}
	if chosen != "" && chosen != standardDirectory && len(p.drivers) > 0 && !p.driverLooksIn(chosen) {
		p.hand("", "no driver's DaemonSet looks in %s; give the directory in its flag additional-provider-volume-paths", message.Printable(chosen))
	}
}

// standardDirectory is the one that the driver looks in first: a socket that is left in it
// hides one that is in the other.
const standardDirectory = "/etc/kubernetes/secrets-store-csi-providers"

// directory is where Lanyard's sockets will be.
func (p *planner) directory() (chosen string) {
	for _, f := range p.providers {
		if !f.windows && f.directory != "" && (chosen == "" || f.directory == standardDirectory) {
			chosen = f.directory
		}
	}
	return chosen
}

// driverLooksIn says whether the driver looks for sockets in a directory of the node.
// https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/v1.6.0/cmd/secrets-store-csi-driver/main.go
func (p *planner) driverLooksIn(directory string) bool {
	for _, pods := range p.drivers {
		looks := []string{"/var/run/secrets-store-csi-providers", standardDirectory}
		if volume := pods.flags["provider-volume"]; volume != "" {
			looks[0] = volume
		}
		if more := pods.flags["additional-provider-volume-paths"]; more != "" {
			looks = append(looks[:1], strings.Split(more, ",")...)
		}
		// The flags name directories of the container; charts mount them by the same path
		// or by another, which its volumes tell.
		for _, c := range pods.daemonSet.Spec.Template.Spec.Containers {
			f := found{daemonSet: pods.daemonSet, container: c}
			for _, look := range looks {
				if f.onNode(look) == directory {
					return true
				}
			}
		}
	}
	return false
}

// setTokens sees to the tokens of pods.
func (p *planner) setTokens() {
	var missing []string
	for _, audience := range p.audiences() {
		if !slices.Contains(p.Driver.TokenRequests, audience) {
			missing = append(missing, audience)
		}
	}
	if len(missing) == 0 {
		return
	}
	list := message.Names(missing, message.Printable)
	p.values.set(true, "", "was: the right of the other provider to create tokens. CSIDriver "+driverName+" asks for none with the audience "+list+
		"; once its tokenRequests have it, this can go, and with it a right to act as other service accounts.", "config", "policy", "tokenRequest")
	var namespaces []string
	for _, u := range p.users {
		namespaces = append(namespaces, u.namespace)
	}
	slices.Sort(namespaces)
	if namespaces = slices.Compact(namespaces); len(namespaces) > 0 && namespaces[0] != "" {
		p.values.set(namespaces, "", "The namespaces of the pods that mount classes now. Others need to be added.", "tokenRequestNamespaces")
	}
	p.differs("", "tokens with the audience %s are requested from the API server, one for each pod and hour, because the CSIDriver does not pass them; its tokenRequests (a value of the driver's chart) save that", list)
}

// others notes what is not of one original.
func (p *planner) others() {
	for _, f := range p.providers {
		if f.windows {
			p.notYet(f.object(), "runs on Windows nodes, where Lanyard does not: leave it there, and its flags as they are")
		}
	}
	if len(p.providers) > 0 && len(p.drivers) > 0 && !p.Driver.Rotation {
		p.differs("", "rotation is off in the driver (enable-secret-rotation), so that values reach pods only when they start, as before")
	}
	if len(p.csi) == 0 {
		p.hand("", "there is no CSIDriver %s in what was read: see that the driver is installed, with tokenRequests as said here", driverName)
	}
	for _, c := range p.classes {
		if p.dialects[c.Provider] != nil && c.Provider != "lanyard" && !Plans(c.Provider) {
			p.differs(message.Printable(c.String()), "is of provider: %s, and is not in this plan; docs/migrate-from-%s.md says how it is switched", c.Provider, c.Provider)
		}
	}
	for _, name := range slices.Compact(p.foreign) {
		p.differs("DaemonSet "+message.Printable(name), "is none of the five providers, and nothing of it was read")
	}
	for _, u := range p.users {
		for _, v := range u.volumes {
			if !slices.ContainsFunc(p.classes, func(c Class) bool { return c.Namespace == u.namespace && c.Name == v.className() }) {
				p.differs(message.Printable(u.String()), "mounts class %s, which is not in what was read", message.Printable(v.className()))
			}
		}
	}
}

// Pod is a class as the pods of a workload see it whose volume says more than the class.
type Pod struct {
	// Object is such as "Deployment shop/web".
	Object     string
	Class      Class
	Parameters map[string]string
}

// Pods are the workloads whose volumes give parameters of their own, which the driver
// merges over those of the class.
func (i *Installation) Pods() (pods []Pod) {
	for _, c := range i.classes {
		pods = append(pods, i.podsOf(c)...)
	}
	return pods
}

func (i *Installation) podsOf(c Class) (pods []Pod) {
	for _, u := range i.usersOf(c) {
		for _, v := range u.volumes {
			if v.className() != c.Name || len(v.Attributes) < 2 {
				continue
			}
			merged := maps.Clone(c.Parameters)
			if merged == nil {
				merged = map[string]string{}
			}
			maps.Copy(merged, v.Attributes)
			delete(merged, classAttribute)
			pods = append(pods, Pod{Object: message.Printable(u.String()), Class: c, Parameters: merged})
		}
	}
	return pods
}

// Settled says that nothing has to be seen to before the steps.
func (p *Plan) Settled() bool { return len(p.ByHand)+len(p.NotYet)+len(p.Refused) == 0 }
