//go:build !linux

package process

func forgetBinary() {}
