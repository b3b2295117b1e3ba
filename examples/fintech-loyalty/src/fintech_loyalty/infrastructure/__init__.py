"""Tables and statements; no rule of the business."""
