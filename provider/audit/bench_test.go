package audit

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
)

// BenchmarkRecordAmidWork is a delivery of 20 objects with its record, 16 at a time for each core,
// each with work beside it as a mount from memory has it.
func BenchmarkRecordAmidWork(b *testing.B) {
	var all []Object
	for i := range 20 {
		all = append(all, Object{Object: fmt.Sprint("db/password-", i), Store: "vault", Key: fmt.Sprint("secret/data/shop/db-", i), StoreVersion: "7", From: FromCache})
	}
	objects := ObjectsOf(all)
	for _, mode := range []string{"off", "file", "required"} {
		b.Run(mode, func(b *testing.B) {
			settings := config.DefaultAudit()
			if mode != "off" {
				settings.File.Path, settings.Required = filepath.Join(b.TempDir(), "audit.log"), mode == "required"
			}
			log, err := New(Options{Settings: settings, Node: "node-1"})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			b.ReportAllocs()
			before := processorTime(b)
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				work := make([]byte, 64<<10)
				for pb.Next() {
					sum := sha256.Sum256(work)
					work[0] = sum[0]
					if err := log.Record(b.Context(), &Record{Event: Delivery, Result: OK, Cluster: "prod", Namespace: "shop", ServiceAccount: "web", Pod: "web-0", PodUID: "9d0c", Class: "web", Dialect: "lanyard", Objects: objects}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what the process has used, which others on the machine change less than
// the time that passes.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
