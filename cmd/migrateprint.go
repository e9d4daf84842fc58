package cmd

import (
	"fmt"
	"io"
	"strings"

	jsonyaml "sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/migration"
)

// printPlan prints a plan in one of the forms of --output.
func printPlan(w io.Writer, output string, plan *migration.Plan) error {
	switch output {
	case "json":
		return printJSON(w, plan)
	case "yaml":
		text, err := jsonyaml.Marshal(plan)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	_, err := io.WriteString(w, planText(plan))
	return err
}

// planText is the plan for people.
func planText(plan *migration.Plan) string {
	var t strings.Builder
	t.WriteString("Installed\n")
	for _, i := range plan.Installed {
		name := i.DaemonSet
		if i.Namespace != "" {
			name = i.Namespace + "/" + name
		}
		fmt.Fprintf(&t, "  %s: DaemonSet %s, %s", i.Provider, message.Printable(name), message.Printable(i.Image))
		if i.SocketDirectory != "" {
			fmt.Fprintf(&t, ", socket in %s", message.Printable(i.SocketDirectory))
		}
		if i.AddOn != "" {
			fmt.Fprintf(&t, ", of %s", i.AddOn)
		}
		if i.Windows {
			t.WriteString(", Windows")
		}
		t.WriteString("\n")
	}
	if len(plan.Installed) == 0 {
		t.WriteString("  no DaemonSet of a provider, only classes\n")
	}
	fmt.Fprintf(&t, "  driver: %s; rotation %s; tokens for %s\n", orNothing(plan.Driver.DaemonSets, "no DaemonSet"), map[bool]string{true: "on", false: "off"}[plan.Driver.Rotation], orNothing(plan.Driver.TokenRequests, "no audience"))

	notes(&t, "To do by hand", plan.ByHand)
	notes(&t, "Not there yet", plan.NotYet)
	notes(&t, "Refused with these values", plan.Refused)
	t.WriteString("\nvalues.yaml\n")
	for line := range strings.Lines(plan.Values) {
		t.WriteString("  " + line)
	}
	notes(&t, "Different from before", plan.Different)
	t.WriteString("\nSteps\n")
	for n, step := range plan.Steps {
		fmt.Fprintf(&t, "  %d. %s\n", n+1, step.Do)
		for _, command := range step.Commands {
			fmt.Fprintf(&t, "     $ %s\n", command)
		}
		if step.Check != "" {
			fmt.Fprintf(&t, "     Then: %s\n", step.Check)
		}
	}
	t.WriteString("\nAfterwards\n")
	for _, text := range plan.Afterwards {
		fmt.Fprintf(&t, "  - %s\n", text)
	}
	return t.String()
}

func orNothing(names []string, nothing string) string {
	if len(names) == 0 {
		return nothing
	}
	return message.Names(names, message.Printable)
}

// notes prints a section of notes, if there are any.
func notes(t *strings.Builder, title string, list []migration.Note) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t, "\n%s\n", title)
	for _, note := range list {
		fmt.Fprintf(t, "  - %s\n", noteLine(note))
	}
}

func noteLine(note migration.Note) string {
	line := note.Text
	if note.Object != "" {
		line = note.Object + ": " + line
	}
	if note.Place != "" {
		line = note.Place + ": " + line
	}
	return line
}
