package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestEachReadsItsIndexesAndNoPanicLeavesIt(t *testing.T) {
	results := make([]store.Result, 20)
	store.Each([]int{1, 3, 5}, results, func(i int) (store.Value, error) {
		if i == 3 {
			panic("planted-value")
		}
		return store.Value{Version: fmt.Sprint(i)}, nil
	})
	for i, result := range results {
		switch i {
		case 1, 5:
			if result.Err != nil || result.Value.Version != fmt.Sprint(i) {
				t.Errorf("%d: %v", i, result)
			}
		case 3:
			if !errors.Is(result.Err, fault.ErrUnavailable) || strings.Contains(result.Err.Error(), "planted") {
				t.Errorf("%d: %v", i, result.Err)
			}
		default:
			if result.Err != nil || result.Value.Version != "" {
				t.Errorf("%d was read", i)
			}
		}
	}
}
