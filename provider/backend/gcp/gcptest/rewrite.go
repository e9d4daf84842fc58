package gcptest

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// rewrite has the answers of Secret Manager and Cloud KMS pass through the Server's Rewriting, as
// JSON. What is no answer then is one that cannot be read.
func (s *Server) rewrite(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, req)
	message, ok := answer.(proto.Message)
	values := strings.Contains(info.FullMethod, "secretmanager") || strings.Contains(info.FullMethod, "parametermanager") || strings.Contains(info.FullMethod, "KeyManagementService")
	if err != nil || !ok || !values {
		return answer, err
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	changed := s.Rewritten(text)
	if string(changed) == string(text) {
		return answer, nil
	}
	rewritten := message.ProtoReflect().New().Interface()
	if len(changed) > 0 && protojson.Unmarshal(changed, rewritten) != nil {
		return nil, status.Error(codes.Internal, "the answer cannot be read")
	}
	return rewritten, nil
}
