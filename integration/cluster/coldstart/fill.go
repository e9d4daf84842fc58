package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"

	"github.com/lanyardhq/lanyard/integration/cluster"
)

const (
	// provider is the plugin's name in the EncryptionConfiguration.
	provider = "lanyard"
	// batch is how many keys etcd takes at once.
	batch = 100
	// aValue is what each Secret holds.
	aValue = "the value of a secret as long as passwords are"
)

// encodedValue is the value in the API's JSON.
var encodedValue = base64.StdEncoding.EncodeToString([]byte(aValue))

// fill writes the Secrets into etcd as API servers would have: encrypted ones
// under a new seed for each share of them, with a new version of the key.
func (s *subject) fill(ctx context.Context) error {
	var transform value.Transformer
	var rows []cluster.KeyValue
	for i := range secrets {
		if s.plugin != nil && i%(secrets/seeds) == 0 {
			var err error
			if transform, err = s.seed(ctx); err != nil {
				return fmt.Errorf("seed of Secret %d: %w", i, err)
			}
		}
		row, err := stored(ctx, i, transform)
		if err != nil {
			return err
		}
		if rows = append(rows, row); len(rows) == batch {
			if err := s.plane.Store(ctx, rows...); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// stored is one Secret as etcd holds it.
func stored(ctx context.Context, i int, transform value.Transformer) (cluster.KeyValue, error) {
	name := fmt.Sprintf("secret-%05d", i)
	object := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), CreationTimestamp: metav1.Now()},
		Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{"password": []byte(aValue)},
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return cluster.KeyValue{}, err
	}
	var encoded bytes.Buffer
	if err := protobuf.NewSerializer(scheme, scheme).Encode(object, &encoded); err != nil {
		return cluster.KeyValue{}, err
	}
	key := "/registry/secrets/default/" + name
	if transform == nil {
		return cluster.KeyValue{Key: []byte(key), Value: encoded.Bytes()}, nil
	}
	sealed, err := transform.TransformToStorage(ctx, encoded.Bytes(), value.DefaultContext(key))
	return cluster.KeyValue{Key: []byte(key), Value: append([]byte("k8s:enc:kms:v2:"+provider+":"), sealed...)}, err
}

// seed has the plugin encrypt a new seed with a new version of the key, by the
// API server's own code.
func (s *subject) seed(ctx context.Context) (value.Transformer, error) {
	if err := s.plugin.Vault.Rotate(ctx, "one"); err != nil {
		return nil, err
	}
	service, err := kmsv2.NewGRPCService(ctx, "unix://"+s.plugin.Socket, provider, 3*time.Second)
	if err != nil {
		return nil, err
	}
	inner, object, cacheKey, err := kmsv2.GenerateTransformer(ctx, "coldstart", service, true)
	if err != nil {
		return nil, err
	}
	state := kmsv2.State{
		Transformer: inner, EncryptedObjectKeyID: object.KeyID, EncryptedObjectEncryptedDEKSource: object.EncryptedDEKSource,
		EncryptedObjectAnnotations: object.Annotations, EncryptedObjectEncryptedDEKSourceType: object.EncryptedDEKSourceType,
		UID: "coldstart", ExpirationTimestamp: time.Now().Add(time.Hour), CacheKey: cacheKey,
	}
	return kmsv2.NewEnvelopeTransformer(service, provider, func() (kmsv2.State, error) { return state, nil }, "coldstart"), nil
}
