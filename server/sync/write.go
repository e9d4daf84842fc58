package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/internal/message"
)

// errForeign says that a Secret is somebody else's.
var errForeign = errors.New("is somebody else's")

// metadataOnly has the API server answer without the content of what it was sent.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// SecretWriter writes Secrets. It is safe for concurrent use.
type SecretWriter interface {
	// Write makes or changes a Secret that belongs to the owner in its label, or takes
	// over one that has one of the signs. uid is the Secret's own if it is known from
	// before; fresh says that there probably is none. created says that there was none. The error of a Secret that is somebody
	// else's is errForeign.
	Write(ctx context.Context, s *core.Secret, uid types.UID, fresh bool, adopt []Sign) (_ types.UID, created bool, _ error)
	// Remove deletes a Secret if it belongs to the owner, and says whether it did.
	Remove(ctx context.Context, namespace, name string, owner types.UID) (bool, error)
}

// Writer is a SecretWriter that reads none. That a Secret is the controller's own, the
// API server checks.
type Writer struct{ core rest.Interface }

// NewWriter returns a Writer on the client of the API group "".
func NewWriter(core rest.Interface) *Writer { return &Writer{core} }

// Write is that of SecretWriter.
func (w *Writer) Write(ctx context.Context, s *core.Secret, uid types.UID, fresh bool, adopt []Sign) (_ types.UID, created bool, err error) {
	for range 3 { // a Secret that is removed or made meanwhile is looked at again
		if uid == "" && fresh {
			if uid, err = w.create(ctx, s); !apierrors.IsAlreadyExists(err) {
				return uid, true, err
			}
		}
		if uid == "" {
			uid, err = w.find(ctx, s, adopt)
		}
		if fresh = apierrors.IsNotFound(err); fresh {
			continue
		}
		if err == nil {
			err = w.apply(ctx, s, uid)
		}
		if !changedMeanwhile(err) {
			return uid, false, err
		}
		uid, err = "", nil
	}
	return "", false, errors.New("it is removed and made again all the time")
}

// changedMeanwhile says that there is no Secret of the UID any more.
func changedMeanwhile(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err) ||
		apierrors.IsInvalid(err) && strings.Contains(err.Error(), "metadata.uid")
}

// find returns the UID of a Secret that may be written. A patch that only tests needs no
// right to read, and changes nothing.
// https://www.rfc-editor.org/rfc/rfc6902#section-4.6
func (w *Writer) find(ctx context.Context, s *core.Secret, adopt []Sign) (types.UID, error) {
	owner := s.Labels[OwnerLabel]
	label := "/metadata/labels/" + pointer(OwnerLabel)
	ways := [][]test{{{"test", label, &owner}}}
	for _, sign := range adopt {
		// A Secret that belongs to another object is not up for adoption: null stands for
		// no label.
		ways = append(ways, []test{{"test", sign.Path, &sign.Value}, {"test", label, nil}})
	}
	for _, way := range ways {
		found, err := w.patch(ctx, types.JSONPatchType, s.Namespace, s.Name, way)
		switch {
		case err == nil:
			return found.UID, nil
		case !failedTest(err):
			return "", err
		}
	}
	return "", errForeign
}

// test is an operation of a JSON patch.
type test struct {
	Op    string  `json:"op"`
	Path  string  `json:"path"`
	Value *string `json:"value"`
}

// pointer is a name as a JSON pointer has it.
func pointer(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// failedTest says that the test of a patch failed, or that there is nothing in its place.
func failedTest(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusUnprocessableEntity
}

func (w *Writer) create(ctx context.Context, s *core.Secret) (types.UID, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	made, err := described(w.core.Post().Namespace(s.Namespace).Resource("secrets").Param("fieldManager", FieldManager).
		SetHeader("Accept", metadataOnly).SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	if err != nil {
		return "", err
	}
	return made.UID, nil
}

// apply writes the Secret of the UID, and makes none.
func (w *Writer) apply(ctx context.Context, s *core.Secret, uid types.UID) error {
	s = s.DeepCopy()
	s.UID = uid
	written, err := w.patch(ctx, types.ApplyPatchType, s.Namespace, s.Name, s)
	if err != nil {
		return err
	}
	extra := leftovers(s, written.ManagedFields)
	if len(extra) == 0 {
		return nil
	}
	id := string(uid)
	operations := []any{test{"test", "/metadata/uid", &id}}
	for _, path := range extra {
		operations = append(operations, map[string]string{"op": "remove", "path": path})
	}
	_, err = w.patch(ctx, types.JSONPatchType, s.Namespace, s.Name, operations)
	return err
}

// leftovers are the places in a Secret that are not to be there and that an apply leaves:
// keys that others wrote, whom the Secret belonged to or who changed it by hand, and what
// the request that made the Secret wrote. Labels and annotations of others stay.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
func leftovers(s *core.Secret, managed []meta.ManagedFieldsEntry) []string {
	extra := map[string]bool{}
	for _, entry := range managed {
		var fields struct {
			Data     map[string]any `json:"f:data"`
			Metadata struct {
				Labels      map[string]any `json:"f:labels"`
				Annotations map[string]any `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		note(extra, "/data/", fields.Data, s.Data)
		if entry.Manager == FieldManager {
			note(extra, "/metadata/labels/", fields.Metadata.Labels, s.Labels)
			note(extra, "/metadata/annotations/", fields.Metadata.Annotations, s.Annotations)
		}
	}
	return slices.Sorted(maps.Keys(extra))
}

// note notes the paths of managed fields that are not wanted.
func note[V any](extra map[string]bool, above string, fields map[string]any, wanted map[string]V) {
	for field := range fields {
		name, isName := strings.CutPrefix(field, "f:")
		if _, want := wanted[name]; isName && !want {
			extra[above+pointer(name)] = true
		}
	}
}

// patch changes a Secret by a body that is written as JSON.
func (w *Writer) patch(ctx context.Context, kind types.PatchType, namespace, name string, body any) (*meta.PartialObjectMetadata, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request := w.core.Patch(kind).Namespace(namespace).Resource("secrets").Name(name).Param("fieldManager", FieldManager)
	if kind == types.ApplyPatchType {
		request = request.Param("force", "true")
	}
	return described(request.SetHeader("Accept", metadataOnly).Body(text).Do(ctx))
}

// described is what an answer says of a Secret.
func described(answer rest.Result) (*meta.PartialObjectMetadata, error) {
	if err := answer.Error(); err != nil {
		return nil, err
	}
	text, err := answer.Raw()
	if err != nil {
		return nil, err
	}
	var found meta.PartialObjectMetadata
	if err := json.Unmarshal(text, &found); err != nil || found.UID == "" {
		return nil, errors.New("the API server's answer is not understood")
	}
	return &found, nil
}

// Remove is that of SecretWriter.
func (w *Writer) Remove(ctx context.Context, namespace, name string, owner types.UID) (bool, error) {
	uid, err := w.find(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{OwnerLabel: string(owner)}}}, nil)
	if apierrors.IsNotFound(err) || errors.Is(err, errForeign) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = w.core.Delete().Namespace(namespace).Resource("secrets").Name(name).SetHeader("Accept", metadataOnly).
		Body(&meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &uid}}).Do(ctx).Error()
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// unanswered says that an error tells nothing of the Secret: the API server is not
// reached, or cannot serve the request now.
func unanswered(err error) bool {
	var connection *url.Error
	return errors.As(err, &connection) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err)
}

// withoutRight says that the controller lacks the right to a request. An API server that
// has just started knows no roles yet, and says so of every request for a moment.
// https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/errors.go
func withoutRight(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `" cannot `)
}

// problemOf says why a Secret could not be written. The API server's texts hold no value:
// it leaves them out of what it says of Secrets.
func problemOf(name string, err error) *Problem {
	text := fmt.Sprintf("Secret %s: %s", message.Printable(name), message.Excerpt(err.Error()))
	switch {
	case errors.Is(err, errForeign):
		return &Problem{ReasonForeign, fmt.Sprintf("Secret %s is there already and is somebody else's; remove it, or give this one another name", message.Printable(name))}
	case strings.Contains(strings.ToLower(err.Error()), "validatingadmissionpolicy"):
		return &Problem{ReasonPolicy, text}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &Problem{ReasonInput, text}
	case apierrors.IsForbidden(err):
		return &Problem{ReasonInternal, text}
	}
	return &Problem{ReasonUnknown, text}
}
