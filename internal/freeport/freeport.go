// Package freeport finds ports for servers of tests that choose no port themselves.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports that are looked at. Systems hand out others to who asks for any: Linux from
// 32768 on, see https://docs.kernel.org/networking/ip-sysctl.html, under
// ip_local_port_range. So only who names the same number can take one meanwhile.
const first, after = 10240, 32768

// Find returns n different ports of 127.0.0.1, as texts, at which nobody listens.
func Find(n int) ([]string, error) {
	var ports []string
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.N(after-first))) //nolint:noctx // takes no time
		if err != nil {
			continue
		}
		defer listener.Close() //nolint:errcheck // held until all are found, so that they differ
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("there are no %d ports of 127.0.0.1 at which nobody listens", n)
}
