"""Deterministic fault simulation of the shipped modules: ``fintech simulate`` and pytest fixtures.

The real plugins run here on an event loop without threads, sockets or sleep. What they reach (database,
processor, payout rail, clock, identifiers, randomness) are ports over models with books of their own; a
fault plan says which call goes wrong, and how. One seed is one schedule, hash for hash.

``loop``         virtual time, and a seeded choice among what is ready
``faults``       what can go wrong at a call, and the plans that say where
``network``      how a call travels, with its fault
``database``     the database port, retrying as the real client does
``processor``, ``rail``   models of the outside, with books
``processes``    processes that are killed and started again
``world``        everything of one schedule
``workload``     what plugins offer to be simulated: workflows, actions, invariants
``invariants``   what must hold of the kernel after every schedule
``schedules``    one schedule from its first request to its verdict
``campaign``     many schedules: enumerated or random, on several cores
``shrinking``    from a failing plan to the shortest that still fails
"""
