// Package syncresult is what the program that measures the sync controller, in the module
// of clusters, tells the benchmarks.
package syncresult

// Result is what is printed. Times are in seconds, memory is in MiB.
type Result struct {
	Classes int `json:"classes"`
	Secrets int `json:"secrets"`
	// First is the time from the controller's start until all Secrets are there, Floor
	// that of the same Secrets written from memory.
	First float64 `json:"first"`
	Floor float64 `json:"floor"`
	// FirstStoreCalls are the calls of Vault until then, logins included.
	FirstStoreCalls int `json:"firstStoreCalls"`
	// Idle is how long nothing changed, and what follows is of that time: calls of the
	// store and of the API server, and processor time.
	Idle           float64 `json:"idle"`
	IdleStoreCalls int     `json:"idleStoreCalls"`
	IdleAPICalls   int     `json:"idleAPICalls"`
	IdleCPU        float64 `json:"idleCPU"`
	// Memory is the process's own memory then, without the pages of its binary.
	Memory float64 `json:"memory"`
	// Changes are the times from a change in the store to each Secret that has it.
	Changes []float64 `json:"changes"`
	// Hour is an hour without changes by a clock that is turned by hand.
	Hour Hour `json:"hour"`
}

// Hour is what an hour takes: looks at objects, calls of the store and of the API server,
// and processor time in seconds.
type Hour struct {
	Looks      int     `json:"looks"`
	StoreCalls int     `json:"storeCalls"`
	APICalls   int     `json:"apiCalls"`
	CPU        float64 `json:"cpu"`
}
