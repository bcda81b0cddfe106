package main

import (
	"context"
	"encoding/binary"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/engine"
)

// benthosBatch is how many messages are handed over together.
const benthosBatch = 256

// benthosChain prices and filters in processors of a stream: messages are their 16 or 24 bytes.
func (b *bench) benthosChain(f chainFuncs) *contender {
	price := func(m *service.Message) (*service.Message, error) {
		c, err := clickOf(m)
		if err != nil {
			return nil, err
		}
		s := f.price(c)
		out := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), s.User)
		out = binary.LittleEndian.AppendUint64(out, uint64(s.Cents))
		m.SetBytes(binary.LittleEndian.AppendUint64(out, uint64(s.At)))
		return m, nil
	}
	keep := func(m *service.Message) (*service.Message, error) {
		s, err := spendOf(m)
		if err != nil || !f.keep(s) {
			return nil, err
		}
		return m, nil
	}
	var rows []spend
	write := func(_ context.Context, batch service.MessageBatch) error {
		rows = rows[:0]
		for _, m := range batch {
			s, err := spendOf(m)
			if err != nil {
				return err
			}
			rows = append(rows, s)
		}
		return f.write(rows)
	}
	return b.benthos(f.at, 0, "at least once: a batch is acknowledged when it is written", write, price, keep)
}

// benthosCount counts in a processor that drops what it has counted: the library has no keyed state of its own.
func (b *bench) benthosCount(at func(int64) click, users int64) *contender {
	counts := map[uint64]int64{}
	count := func(m *service.Message) (*service.Message, error) {
		c, err := clickOf(m)
		counts[c.User]++
		return nil, err
	}
	return b.benthos(at, users, "at least once for messages; counts are in a Go map of the program's and lost in a crash",
		func(context.Context, service.MessageBatch) error { return nil }, count)
}

func clickOf(m *service.Message) (click, error) {
	p, err := m.AsBytes()
	if err != nil {
		return click{}, err
	}
	return click{binary.LittleEndian.Uint64(p), engine.Time(binary.LittleEndian.Uint64(p[8:]))}, nil
}

func spendOf(m *service.Message) (spend, error) {
	p, err := m.AsBytes()
	if err != nil {
		return spend{}, err
	}
	return spend{binary.LittleEndian.Uint64(p), int64(binary.LittleEndian.Uint64(p[8:])), engine.Time(binary.LittleEndian.Uint64(p[16:]))}, nil
}

// benthos runs a stream in which each step is a processor.
func (b *bench) benthos(at func(int64) click, fill int64, text string, write service.MessageBatchHandlerFunc, steps ...step) *contender {
	env := service.GlobalEnvironment().Clone()
	builder := env.NewStreamBuilder()
	builder.SetThreads(1)
	check(builder.SetLoggerYAML("level: off"))
	check(builder.SetMetricsYAML("none: {}"))
	for i, s := range steps {
		name := "step_" + string(rune('a'+i))
		check(env.RegisterBatchProcessor(name, service.NewConfigSpec(),
			func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) { return s, nil }))
		check(builder.AddProcessorYAML(name + ": {}"))
	}
	produce, err := builder.AddBatchProducerFunc()
	check(err)
	check(builder.AddBatchConsumerFunc(write))
	stream, err := builder.Build()
	check(err)
	done := make(chan error, 1)
	go func() { done <- stream.Run(context.Background()) }()
	c := pushed("benthos", fill, benthosBatch, func(i, end int64) {
		batch := make(service.MessageBatch, 0, benthosBatch)
		for ; i < end; i++ {
			r := at(i)
			p := binary.LittleEndian.AppendUint64(make([]byte, 0, 16), r.User)
			batch = append(batch, service.NewMessage(binary.LittleEndian.AppendUint64(p, uint64(r.At))))
		}
		check(produce(context.Background(), batch))
	})
	c.version, c.text = host.Version("github.com/redpanda-data/benthos/v4"), text
	c.close = func() {
		check(stream.StopWithin(10 * time.Second))
		check(<-done)
	}
	return c
}

// step is a processor that works on one message after the other; nil drops it.
type step func(*service.Message) (*service.Message, error)

func (s step) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	out := batch[:0]
	for _, m := range batch {
		m, err := s(m)
		if err != nil {
			return nil, err
		}
		if m != nil {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

func (s step) Close(context.Context) error { return nil }
