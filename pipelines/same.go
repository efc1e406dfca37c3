package pipelines

// Same tells whether a source that was opened as o says serves as s says: it goes on across a reload. Format, check, order and what
// expressions see of it are the program's and may differ.
func (s *Source) Same(o *Source) bool {
	return s.Name == o.Name && s.Connector == o.Connector && s.Opened == o.Opened && s.Traits == o.Traits
}

// Same tells whether a sink that was opened as o says serves as s says. Encoding and on_error are the program's and may differ.
func (s *Sink) Same(o *Sink) bool {
	return s.Name == o.Name && s.Connector == o.Connector && s.Opened == o.Opened && s.Traits == o.Traits && s.Optional == o.Optional
}
