package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/server/inject"
)

// secretWords are words of which a file has at least one if its pods want secrets. Files of
// a folder without any are passed over.
var secretWords = []string{"lanyard.dev/", "vault.hashicorp.com/", "security.banzaicloud.io/", "security.bank-vaults.io/", "@azurekeyvault"}

// runDry prints what the webhook would change of the pods in files.
func (f *injectFlags) runDry(c *cobra.Command, args []string) error {
	workloads, refused := 0, 0
	err := manifest.Each(stdin(c), args, secretWords, func(in manifest.Input, err error) error {
		if err != nil {
			return unreadable(in.Name, err)
		}
		documents, err := manifest.Documents(in.Text)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", in.Name, err)}
		}
		before, err := encoded(documents)
		if err != nil {
			return err
		}
		for _, w := range manifest.Workloads(documents) {
			workloads++
			namespace := w.Namespace()
			if namespace == "" {
				namespace = f.namespace
			}
			warnings, err := changePods(w, namespace, f.options)
			name := fmt.Sprintf("%s: %s %s", in.Name, message.Printable(w.Kind()), message.Printable(w.Name()))
			for _, warning := range warnings {
				fmt.Fprintf(c.ErrOrStderr(), "%s: warning: %s\n", name, warning)
			}
			var problems inject.RefusalError
			switch {
			case errors.As(err, &problems):
				refused++
				for _, problem := range problems {
					fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", name, problem)
				}
			case err != nil:
				return usageError{fmt.Errorf("%s: %w", name, err)}
			}
		}
		after, err := encoded(documents)
		if err != nil {
			return err
		}
		return f.show(c.OutOrStdout(), in.Name, before, after)
	})
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return unreadable(path.Path, path)
	case err != nil:
		return err
	case workloads == 0:
		return usagef("no pods in %s", strings.Join(args, ", "))
	case refused > 0:
		return fmt.Errorf("%s would be refused", count(refused, "workload"))
	}
	return nil
}

// show prints the difference of a file, or the file as it would be.
func (f *injectFlags) show(w io.Writer, name string, before, after []byte) error {
	if f.output == "yaml" {
		_, err := w.Write(after)
		return err
	}
	return difflib.WriteUnifiedDiff(w, difflib.UnifiedDiff{
		A: lines(before), B: lines(after), FromFile: name, ToFile: name + " (injected)", Context: 3,
	})
}

// lines are the lines of a text, each with its end.
func lines(text []byte) []string { return slices.Collect(strings.Lines(string(text))) }

// encoded are documents as they are printed, before and after in the same way.
func encoded(documents []*yaml.Node) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	for _, document := range documents {
		if err := encoder.Encode(document); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), encoder.Close()
}

// podOf is the pod of a workload as the API server reads it.
func podOf(w manifest.Workload) (*core.Pod, error) {
	var read any
	if err := w.Pod.Decode(&read); err != nil {
		return nil, err
	}
	text, err := json.Marshal(read)
	if err != nil {
		return nil, err
	}
	pod := &core.Pod{}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(text, pod); errors.As(err, &wrong) {
		return nil, fmt.Errorf("%s: must be of the type %s and is a %s; put text into quotes", strings.ReplaceAll(wrong.Field, "~1", "/"), wrong.Type, wrong.Value)
	} else if err != nil {
		return nil, err
	}
	return pod, nil
}

// changePods changes the pod of a workload in place. The error is an inject.RefusalError, or of a
// manifest that is none.
func changePods(w manifest.Workload, namespace string, o inject.Options) (warnings []string, err error) {
	pod, err := podOf(w)
	if err != nil {
		return nil, err
	}
	result, err := inject.Pod(pod, namespace, o)
	result.Warnings = append(misplaced(w, pod), result.Warnings...)
	if err != nil || !result.Changed {
		return result.Warnings, err
	}
	patch, err := inject.Patch(pod, result.Pod)
	if err != nil {
		return nil, err
	}
	for _, operation := range patch {
		if err := applyToNode(w.Pod, strings.Split(operation.Path, "/")[1:], operation); err != nil {
			return nil, err
		}
	}
	return result.Warnings, nil
}

// misplaced warns of annotations that stand on the object that makes the pods, where the
// webhook does not see them.
func misplaced(w manifest.Workload, pod *core.Pod) (warnings []string) {
	if w.Path == "" {
		return nil
	}
	// A CronJob has a template within a template.
	for path := w.Path; path != ""; {
		at := strings.LastIndexByte(path, '.')
		path = path[:max(at, 0)]
		place := strings.TrimPrefix(path+".metadata.annotations", ".")
		_, annotations, ok := strict.Find(w.Root, place)
		if !ok || annotations.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(annotations.Content); i += 2 {
			name := annotations.Content[i].Value
			if _, both := pod.Annotations[name]; inject.Concerns(name) && !both {
				warnings = append(warnings, fmt.Sprintf("%s: has no effect at %s; write it at %s.metadata.annotations", message.Printable(name), place, w.Path))
			}
		}
	}
	return warnings
}

// applyToNode applies one operation of a patch to YAML, which keeps its order and comments.
func applyToNode(node *yaml.Node, path []string, o inject.Operation) error {
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	var value yaml.Node
	if len(path) == 1 {
		if err := value.Encode(o.Value); err != nil {
			return err
		}
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value != name {
				continue
			}
			if len(path) > 1 {
				return applyToNode(node.Content[i+1], path[1:], o)
			}
			node.Content[i+1] = &value
			return nil
		}
		if len(path) == 1 {
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, &value)
			return nil
		}
	case yaml.SequenceNode:
		i, err := strconv.Atoi(name)
		switch {
		case err != nil || i > len(node.Content):
		case len(path) > 1 && i < len(node.Content):
			return applyToNode(node.Content[i], path[1:], o)
		case len(path) == 1 && o.Op == "add":
			node.Content = append(node.Content[:i], append([]*yaml.Node{&value}, node.Content[i:]...)...)
			return nil
		case len(path) == 1 && i < len(node.Content):
			node.Content[i] = &value
			return nil
		}
	}
	return fmt.Errorf("has no %s; write the pod out, without YAML aliases", o.Path)
}

// podChecker says of the pods in files what the webhook would say. A pod that asks in the
// dialect of another webhook may still run with that one: there all is a warning.
func podChecker(strictly bool) func(manifest.Workload) (refused, warnings []string, wantsSecrets bool) {
	options := injectOptions()
	options.Agent = func(given inject.Given) []string { return agentWould(given, false) }
	return func(w manifest.Workload) (refused, warnings []string, wantsSecrets bool) {
		pod, err := podOf(w)
		if err != nil {
			return nil, nil, false // another tool's business
		}
		_, own := pod.Annotations[inject.Inject]
		result, err := inject.Pod(pod, w.Namespace(), options)
		var problems inject.RefusalError
		if errors.As(err, &problems) && (own || strictly) {
			refused = problems
		} else {
			for _, problem := range problems {
				warnings = append(warnings, "lanyard inject refuses it: "+problem)
			}
		}
		warnings = slices.Concat(misplaced(w, pod), warnings, result.Warnings)
		return refused, warnings, own || err != nil || result.Changed || len(warnings) > 0
	}
}
