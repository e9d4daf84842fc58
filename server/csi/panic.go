package csi

import (
	"fmt"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/server/recovery"
)

// panicked counts and tells of a panic, which has failed the one call that it
// happened in.
func (s *service) panicked(p recovery.Panic) {
	s.metrics.panics.Inc()
	klog.ErrorS(nil, "Panic; the call failed, the provider goes on; please report this", "dialect", s.dialect, "method", p.Method, "type", p.Type, "stack", p.Stack)
}

// typeName is all that is told of a value whose text may hold a secret.
func typeName(value any) string { return fmt.Sprintf("%T", value) }
