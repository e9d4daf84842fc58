// Package process is how the process presents itself to the operating system.
// It keeps what is in memory from leaving by way of core dumps and debuggers,
// and bounds how much memory that is. Both are set once, before the first
// secret is read; the bound may change with the configuration.
package process
