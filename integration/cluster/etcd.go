package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// KeyValue is a key of etcd's with what it holds.
type KeyValue struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// Stored is what etcd holds under the keys that begin with prefix, in order:
// the bytes as the API server wrote them.
func (c *Cluster) Stored(ctx context.Context, prefix string) ([]KeyValue, error) {
	end := []byte(prefix)
	end[len(end)-1]++ // no key of the API server's ends with 0xff
	var answer struct {
		KVs []KeyValue `json:"kvs"`
	}
	err := c.etcd(ctx, "range", map[string]any{"key": encoded([]byte(prefix)), "range_end": encoded(end)}, &answer)
	return answer.KVs, err
}

// Store puts keys into etcd past the API server. etcd takes at most 128 in one
// call.
func (c *Cluster) Store(ctx context.Context, all ...KeyValue) error {
	puts := make([]any, len(all))
	for i, one := range all {
		puts[i] = map[string]any{"request_put": map[string]any{"key": encoded(one.Key), "value": encoded(one.Value)}}
	}
	return c.etcd(ctx, "txn", map[string]any{"success": puts}, nil)
}

func encoded(text []byte) string { return base64.StdEncoding.EncodeToString(text) }

// etcd calls etcd's JSON gateway.
// https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
func (c *Cluster) etcd(ctx context.Context, method string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.at.etcdURL()+"/v3/kv/"+method, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s: %s: %s", method, resp.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}
