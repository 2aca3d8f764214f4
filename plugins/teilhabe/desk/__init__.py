"""The desk ("Lieferungen"): pages on which offices and the coordination office see what arrived, what is wrong, what is due.

A FastAPI application that knows no Airflow: who is asking, and what they may do, is handed to ``app.create_app``.
"""
