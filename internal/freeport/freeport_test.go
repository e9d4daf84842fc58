package freeport

import (
	"net"
	"slices"
	"testing"
)

func TestFoundPortsDifferAndAreFree(t *testing.T) {
	ports, err := Find(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if distinct := slices.Compact(slices.Clone(ports)); len(distinct) != 20 {
		t.Errorf("the ports are %v", ports)
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
	if ports, err := Find(2000); err == nil {
		t.Errorf("more ports than are looked for: %d", len(ports))
	}
}
