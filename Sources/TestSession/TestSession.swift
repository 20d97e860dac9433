// TestSession
