package jmespath

func index(value any, i int) any {
	list, _ := value.([]any)
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}

// slice selects as Python does. Bounds and step may be any int.
func (e *evaluation) slice(value any, parts []*int) (any, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, nil
	}
	step, first, end := 1, 0, len(list)
	if parts[2] != nil {
		step = max(min(*parts[2], len(list)+1), -len(list)-1) // no addition below can overflow
	}
	lowest := 0
	if step < 0 {
		lowest, first, end = -1, len(list)-1, -1
	}
	clamp := func(i int) int {
		if i < 0 {
			i = max(i+len(list), lowest)
		}
		return min(i, len(list)+lowest)
	}
	if parts[0] != nil {
		first = clamp(*parts[0])
	}
	if parts[1] != nil {
		end = clamp(*parts[1])
	}
	picked := []any{}
	for i := first; step > 0 && i < end || step < 0 && i > end; i += step {
		if err := e.Work(1); err != nil {
			return nil, err
		}
		if err := e.Grow(elementBytes); err != nil {
			return nil, err
		}
		picked = append(picked, list[i])
	}
	return picked, nil
}

// isTrue is false for null, false, and what is empty.
func isTrue(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
