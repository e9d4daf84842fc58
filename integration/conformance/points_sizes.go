package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
)

// driverMessage is what the driver takes: --max-call-recv-msg-size's default.
const driverMessage = 4 << 20

func sizePoints() []Point {
	return []Point{
		{
			ID: "L-01", Promise: "a class of many objects is answered whole",
			Source: mountContent, Why: "what is left out is deleted from the pod",
			check: manyObjects,
		},
		{
			ID: "L-02", Promise: "a large volume is answered, in a message below 4 MiB",
			Source: maxMessageSize, Why: "the driver takes 4 MiB unless an operator raises --max-call-recv-msg-size",
			check: func(ctx context.Context, s *session) error {
				objects, want, err := s.putLarge(ctx, s.LargestVolume/s.LargestValue)
				if err != nil {
					return err
				}
				a, err := s.mountNew(ctx, s.Accounts[0], objects...)
				if err := expect(a, err, want); err != nil {
					return err
				}
				if size := proto.Size(a.response); size >= driverMessage {
					return fmt.Errorf("%d bytes of values came in a message of %d", s.LargestVolume, size)
				}
				return nil
			},
		},
		{
			ID: "L-03", Promise: "a volume above 4 MiB is refused by the provider, in words",
			Source: maxMessageSize, Why: "otherwise gRPC refuses the answer, and the pod's event says no more than “received message larger than max”",
			check: tooLarge,
		},
	}
}

func manyObjects(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	var objects []Object
	want := map[string][]byte{}
	for i := range s.ManyObjects {
		object, value, err := s.putNew(ctx, owner, "many-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		objects = append(objects, object)
		want[object.Path] = value
	}
	a, err := s.mountNew(ctx, owner, objects...)
	return expect(a, err, want)
}

func tooLarge(ctx context.Context, s *session) error {
	objects, _, err := s.putLarge(ctx, driverMessage/s.LargestValue+4)
	if err != nil {
		return err
	}
	a, err := s.mountNew(ctx, s.Accounts[0], objects...)
	if err != nil {
		return err
	}
	f, err := a.refused("a volume above 4 MiB")
	switch {
	case err != nil:
		return err
	case strings.Contains(f.text, "grpc: received message larger than max"):
		return fmt.Errorf("the provider sent more than the driver takes, and gRPC refused it: %s", f.text)
	case f.text == "":
		return fmt.Errorf("the refusal with code %s has no text", f.code)
	case f.open():
		return fmt.Errorf("the refusal has code %s, which the kubelet does not take as final", f.code)
	}
	return nil
}

// putLarge puts n of the largest values.
func (s *session) putLarge(ctx context.Context, n int) ([]Object, map[string][]byte, error) {
	var objects []Object
	want := map[string][]byte{}
	for i := range n {
		value := bytes.Repeat(fmt.Appendf(nil, "%x", randomBytes(16)), s.LargestValue/32)
		object, err := s.put(ctx, s.Accounts[0], "large-"+strconv.Itoa(i), value)
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, object)
		want[object.Path] = value
	}
	return objects, want, nil
}
