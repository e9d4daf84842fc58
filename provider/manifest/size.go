package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What Kubernetes takes of one object, in bytes: kubectl apply keeps the whole of it in an
// annotation, and the API server refuses larger requests than etcd takes.
// https://kubernetes.io/docs/reference/kubectl/generated/kubectl_apply/
// https://etcd.io/docs/v3.5/dev-guide/limit/
const (
	maxApplied = 256 << 10
	maxObject  = 3 << 19
)

// CheckSize says what is wrong with the class's size, as an Error if no API server takes
// it, and as a Warning if kubectl apply does not take it as it stands; else both are empty.
func (c Class) CheckSize() (wrong, severity string) {
	switch size := jsonSize(c.Root); {
	case size > maxObject:
		return fmt.Sprintf("the class has %d bytes, and Kubernetes takes %d of one object; divide it into several classes", size, maxObject), Error
	case size > maxApplied:
		return fmt.Sprintf("the class has %d bytes, and kubectl apply takes %d; use kubectl apply --server-side, or several classes", size, maxApplied), Warning
	}
	return "", ""
}

// jsonSize is about the size of a node as JSON, which is what kubectl keeps and sends.
// Aliases, which no class may have, are not followed.
func jsonSize(node *yaml.Node) int {
	const escaped = "\n\t\"\\"  // to two bytes each; the others to six
	size := 2 + len(node.Value) // with its quotes or brackets
	for _, mark := range escaped {
		size += strings.Count(node.Value, string(mark))
	}
	for _, mark := range "<>&" {
		size += 5 * strings.Count(node.Value, string(mark))
	}
	for _, part := range node.Content {
		size += jsonSize(part) + 1 // and a comma or colon
	}
	return size
}
