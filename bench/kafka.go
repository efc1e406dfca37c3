package main

func (s *suite) kafka() []*comparison { return nil }

func (s *suite) rabbitMQ() []*comparison { return nil }
