// Package process keeps what the process has in memory from leaving it by way
// of the operating system: core dumps and debuggers. It is called once, before
// the first secret is read.
package process
