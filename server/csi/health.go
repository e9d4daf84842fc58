package csi

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// health answers the gRPC health protocol. Whoever gets an answer is served:
// a server that stops takes no more calls, of health or otherwise. There is no
// Watch, whose streams would hold up a graceful stop.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

// Check answers for the server as a whole, the empty name, and for the
// provider service.
func (health) Check(_ context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch req.GetService() {
	case "", v1alpha1.CSIDriverProvider_ServiceDesc.ServiceName:
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
	}
	return nil, status.Error(codes.NotFound, "no such service")
}
