// Package share divides what a node has a bounded amount of between its tenants: the
// namespaces whose pods it serves. It knows no value, no store and no address.
//
// A Pool counts units: calls in flight, turns, bytes. Its rules:
//
//   - It is work-conserving: a tenant that is alone gets everything.
//   - It is fair by max-min fairness: under contention a freed unit goes to the waiting
//     tenant that holds the fewest, and within a tenant to the oldest request.
//   - It does not rely on what holders do, who may wait 30 seconds for a server that does
//     not answer: each tenant has a guarantee, which it gets though others hold all of
//     the capacity. So a Pool gives out its capacity and one guarantee for each tenant at
//     most. A node runs pods of at most 110 namespaces by default.
//
// Start with Pool.Acquire.
package share

import "context"

// Guarantee is the guarantee of pools whose units are small, such as a call: enough that
// a tenant with little to do hardly notices what others do.
const Guarantee = 4

type tenantKey struct{}

// With returns a context whose calls are made for the tenant.
func With(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// Of is the tenant for which the calls of ctx are made. Without one it is empty: the
// process itself, which is a tenant like the others.
func Of(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}
