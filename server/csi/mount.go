package csi

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// Mount answers with the whole content of a volume. A failure is a gRPC status
// whose text reaches the pod's event; the response's own error field is never
// set, because the driver drops the text beside it.
func (s *service) Mount(ctx context.Context, request *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	start := time.Now()
	req, class, err := s.parse(request)
	req.Dialect, req.Class, req.Delivery = s.dialect, shown(class), &engine.Delivery{}
	defer delivered(ctx, req.Delivery)
	var volume *engine.Volume
	if err == nil {
		volume, err = s.mounter.Mount(ctx, req)
	}
	took := time.Since(start)
	if err != nil {
		failed := statusOf(err)
		klog.ErrorS(nil, "Mount failed", "pod", podRef(req), "serviceAccount", shown(req.Identity.ServiceAccount), "class", shown(class), "dialect", s.dialect, "code", failed.Code().String(), "took", took, "cause", failed.Message())
		return nil, failed.Err()
	}
	if log := klog.V(2); log.Enabled() {
		log.InfoS("Mounted", "pod", podRef(req), "class", shown(class), "dialect", s.dialect, "files", len(volume.Files), "took", took)
	}
	message := volume.Message(func(v *engine.Volume) any { return response(v) })
	return message.(*v1alpha1.MountResponse), nil
}

// delivered has a Delivery done when gRPC has written the answer, or given it up: then the
// call's context ends.
func delivered(ctx context.Context, delivery *engine.Delivery) {
	if delivery.Holds() {
		context.AfterFunc(ctx, delivery.Done)
	}
}

// response converts a volume for the driver. It shares the contents and copies nothing.
func response(volume *engine.Volume) *v1alpha1.MountResponse {
	files := make([]v1alpha1.File, len(volume.Files))
	versions := make([]v1alpha1.ObjectVersion, len(volume.Versions))
	out := &v1alpha1.MountResponse{
		Files:         make([]*v1alpha1.File, len(files)),
		ObjectVersion: make([]*v1alpha1.ObjectVersion, len(versions)),
	}
	for i, file := range volume.Files {
		files[i].Path, files[i].Contents = file.Path, file.Contents
		files[i].Mode = int32(file.Mode.Perm()) //nolint:gosec // at most 0777
		out.Files[i] = &files[i]
	}
	for i, version := range volume.Versions {
		versions[i].Id, versions[i].Version = version.ID, version.Version
		out.ObjectVersion[i] = &versions[i]
	}
	return out
}

func podRef(req engine.Request) klog.ObjectRef {
	return klog.KRef(shown(req.Identity.Namespace), shown(req.Identity.Pod))
}

// shown cuts a name of the request for the log.
func shown(name string) string { return name[:min(len(name), 253)] }

// observe counts and times mounts, those that panic too.
func (s *service) observe(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if info.FullMethod != v1alpha1.CSIDriverProvider_Mount_FullMethodName {
		return handler(ctx, req)
	}
	began := s.metrics.begin()
	resp, err := handler(ctx, req)
	s.metrics.end(began, status.Code(err))
	return resp, err
}
