"""Differential tests: the same plan on regiond and on DataFusion 53, the engine that GreptimeDB's datanode runs.

    sql -> DataFusion's planner and Substrait producer -> plan -> regiond  \
                                        \-> DataFusion                      > compare Arrow results, types included
"""
