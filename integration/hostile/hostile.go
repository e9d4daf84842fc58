// Package hostile runs a tenant who attacks beside a tenant who works: the real
// `lanyard serve` with the defaults of the chart, a real Vault and PostgreSQL for
// the victim, and servers of the attacker's own that answer what no store answers.
//
// There is nothing to import here. Start with suite_test.go, which says what the
// victim is promised; attacks_test.go lists the attacks.
package hostile
