package engine

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/share"
)

// shares are what namespaces share. Each pool whose units may be held for long, with
// stores that do not answer, has a guarantee, so that nobody waits for who holds all.
type shares struct {
	metrics *share.Metrics
	// turns are the mounts that read from stores (bounds.mounts).
	turns *share.Pool
	// reads are the batches in flight, at all stores together.
	reads *share.Pool
	// work are the plans and volumes that are being made. They work in slices of time
	// in place of a guarantee, since one in progress may take much memory.
	work *share.Pool
	// clock measures how long it takes.
	clock func() time.Duration
	// renewals are the lease renewals in flight.
	renewals *share.Pool
	// closing are the connections that are being closed, for which a store may have
	// to answer.
	closing *share.Pool
	memory  *memory
	// large are the plans in use that are too large to be kept, in bytes.
	large *share.Pool
}

const (
	// workAtOnce is the most plans and volumes that are being made, on a node of many
	// processors.
	workAtOnce = 2
	// memoryGuaranteed is enough to read a class of a usual size and to mount it. After
	// a dozen namespaces that take what they can get, nothing else is left.
	memoryGuaranteed = 512 << 10
	// largePlans is three times what the largest class may take.
	largePlans     = 32 << 20
	renewalsAtOnce = 64
	closingAtOnce  = 64
	// readsAtOnce is the bound of the reads in flight, as a multiple of
	// bounds.storeCalls, which bounds the calls at each address.
	readsAtOnce = 4
	// readsGuaranteed are a few, since each is a connection and some goroutines.
	readsGuaranteed = 8
)

func newShares(registry prometheus.Registerer, memoryTaken func(int64)) *shares {
	metrics := share.NewMetrics(registry)
	pool := func(name string, capacity, guarantee int64) *share.Pool {
		return share.New(metrics.Meter(name), share.Limits{Capacity: capacity, Guarantee: guarantee})
	}
	return &shares{
		metrics: metrics,
		turns:   pool("turns", 0, 0), reads: pool("reads", 0, 0), // see configure
		work:     pool("work", int64(min(runtime.GOMAXPROCS(0), workAtOnce)), 0),
		renewals: pool("renewals", renewalsAtOnce, share.Guarantee),
		closing:  pool("closing", closingAtOnce, share.Guarantee),
		large:    share.New(metrics.Meter("plans"), share.Limits{Capacity: largePlans, KeepFree: true}),
		memory:   newMemory(metrics.Meter("memory"), memoryTaken),
		clock:    processorTime,
	}
}

// configure sets the limits that the operator may change.
func (s *shares) configure(bounds config.Bounds) {
	mounts, reads := int64(bounds.Mounts), readsAtOnce*int64(bounds.StoreCalls)
	s.turns.SetLimits(share.Limits{Capacity: mounts, Guarantee: min(mounts, share.Guarantee)})
	s.memory.pool.SetLimits(share.Limits{Capacity: int64(bounds.Memory), Guarantee: memoryGuaranteed, KeepFree: true})
	s.reads.SetLimits(share.Limits{Capacity: reads, Guarantee: min(reads, readsGuaranteed)})
}
