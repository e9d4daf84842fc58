package gcp

import (
	"hash/crc32"
	"path"
	"strconv"
	"strings"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// valueOf turns an answer into the value. Its version is the resource name that
// latest or an alias stands for at this moment.
func valueOf(q *query, answer *secretmanagerpb.AccessSecretVersionResponse) (store.Value, error) {
	payload := answer.GetPayload()
	if payload == nil {
		return store.Value{}, damaged(q, "Secret Manager answered without a payload; look at what stands between the node and Google")
	}
	data := payload.GetData()
	// Every version has a checksum, whoever made it.
	// https://cloud.google.com/secret-manager/docs/data-integrity
	if payload.DataCrc32C == nil {
		return store.Value{}, damaged(q, "Secret Manager answered without a CRC32C checksum of the payload; look at what stands between the node and Google")
	}
	if *payload.DataCrc32C != int64(crc32.Checksum(data, castagnoli)) {
		return store.Value{}, damaged(q, "the payload does not fit its CRC32C checksum, so it was damaged on its way; look at what stands between the node and Google")
	}
	if !q.isAnsweredBy(answer.GetName()) {
		return store.Value{}, damaged(q, "Secret Manager answered with "+message.Excerpt(answer.GetName())+"; look at what stands between the node and Google")
	}
	value, err := q.value(data, answer.GetName())
	if err == nil && q.version == latest {
		// isAnsweredBy has seen that it ends with a number.
		value.Order, _ = strconv.ParseInt(path.Base(answer.GetName()), 10, 64) //nolint:errcheck // one that is too large has no order
	}
	return value, err
}

// value is the payload in the format that is asked for.
func (q *query) value(payload []byte, version string) (store.Value, error) {
	if q.yaml {
		asJSON, err := jsonOfYAML(payload)
		if err != nil {
			return store.Value{}, fault.Failf(fault.ErrInvalid, "%s: options.format: %w", q.name, err)
		}
		payload = asJSON
	}
	return store.Value{Data: secret.New(payload), Version: version}, nil
}

// isAnsweredBy says whether a version's resource name is what q asks for. The
// project is told by its number, whatever it was asked by.
func (q *query) isAnsweredBy(name string) bool {
	got, want := strings.Split(name, "/"), strings.Split(q.name, "/")
	if len(got) != len(want) {
		return false
	}
	last := len(got) - 1
	for i, part := range want {
		if i != 1 && i != last && part != got[i] {
			return false
		}
	}
	if q.service == parameterManager {
		return got[1] != "" && got[last] == q.version
	}
	number := got[last]
	isNumber := number != "" && strings.Trim(number, "0123456789") == ""
	byNumber := q.version[0] >= '1' && q.version[0] <= '9'
	return isNumber && got[1] != "" && (!byNumber || number == q.version)
}
